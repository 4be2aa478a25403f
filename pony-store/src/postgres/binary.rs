//! Values in PostgreSQL's binary format: as parameters of statements, and as fields of a binary COPY.

use bytes::{BufMut, BytesMut};
use pony_state::{Cidr, ColumnType, Inet, Mac, Text, Value};
use serde_json::Value as Json;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// Address families, as PostgreSQL numbers them whatever the system does.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

/// The flag of a range whose lower bound belongs to it.
const LOWER_INCLUSIVE: u8 = 0x02;

/// The version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A value as a parameter; its column's type was asked of the database when the statement was prepared.
#[derive(Debug)]
pub(super) struct Parameter(pub(super) Value);

impl ToSql for Parameter {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.is_null() {
            return Ok(IsNull::Yes);
        }
        encode(&self.0, ty, out)?;
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

type Encoded = Result<(), Box<dyn Error + Sync + Send>>;

fn encode(value: &Value, ty: &Type, out: &mut BytesMut) -> Encoded {
    match value {
        Value::Null => {}
        Value::Bool(truth) => out.put_u8(u8::from(*truth)),
        Value::Int(number) => out.put_i64(*number),
        Value::Float(number) => out.put_f64(*number),
        Value::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
        Value::Text(text) => out.put_slice(text.as_bytes()),
        Value::Inet(inet) => encode_address(inet.addr(), inet.prefix(), false, out),
        Value::Cidr(cidr) => encode_address(cidr.addr(), cidr.prefix(), true, out),
        Value::Mac(mac) => out.put_slice(&mac.0),
        Value::Range(start, end) => {
            out.put_u8(LOWER_INCLUSIVE);
            for bound in [start, end] {
                out.put_i32(8);
                out.put_i64(*bound);
            }
        }
        Value::Json(json) => {
            out.put_u8(JSONB_VERSION);
            out.put_slice(json.to_string().as_bytes());
        }
        Value::List(items) => encode_list(items, ty, out)?,
    }
    Ok(())
}

fn encode_address(address: IpAddr, prefix: u8, is_range: bool, out: &mut BytesMut) {
    let family = if address.is_ipv4() { FAMILY_V4 } else { FAMILY_V6 };
    out.put_slice(&[family, prefix, u8::from(is_range)]);
    match address {
        IpAddr::V4(address) => {
            out.put_u8(4);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.put_u8(16);
            out.put_slice(&address.octets());
        }
    }
}

fn encode_list(items: &[Value], ty: &Type, out: &mut BytesMut) -> Encoded {
    let Kind::Array(item) = ty.kind() else { return Err(format!("{ty} is no array").into()) };
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(0);
    out.put_u32(item.oid());
    if items.is_empty() {
        return Ok(());
    }
    out.put_i32(i32::try_from(items.len())?);
    out.put_i32(1);
    for value in items {
        let at = out.len();
        out.put_i32(0);
        encode(value, item, out)?;
        let length = i32::try_from(out.len() - at - 4)?;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What came from the database is not in its binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database sent something else than the column's type")]
pub(super) struct Malformed;

/// Reads fields of one column; knows the words of an enumeration, so that rows share them.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    ty: &'a ColumnType,
    words: Vec<Text>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(ty: &'a ColumnType) -> Self {
        let words = match ty {
            ColumnType::Enum(words) => words.iter().map(|word| Text::from(word.as_str())).collect(),
            _ => Vec::new(),
        };
        Self { ty, words }
    }

    pub(super) fn decode(&self, field: &[u8]) -> Result<Value, Malformed> {
        Ok(match self.ty {
            ColumnType::Bool => Value::Bool(fixed::<1>(field)? != [0]),
            ColumnType::Int => Value::Int(i64::from_be_bytes(fixed(field)?)),
            // -0 equals 0 and must find the same rows.
            ColumnType::Float => Value::Float(f64::from_be_bytes(fixed(field)?) + 0.0),
            ColumnType::Uuid => Value::Uuid(Uuid::from_bytes(fixed(field)?)),
            ColumnType::Text => Value::Text(Text::from(utf8(field)?)),
            ColumnType::Enum(_) => Value::Text(self.word(utf8(field)?)),
            ColumnType::Inet => Value::Inet(inet(field)?),
            ColumnType::Cidr => {
                let inet = inet(field)?;
                Value::Cidr(Cidr::new(inet.addr(), inet.prefix()).map_err(|_| Malformed)?)
            }
            ColumnType::Mac => Value::Mac(Mac(fixed(field)?)),
            ColumnType::Range => range(field)?,
            ColumnType::Json => json(field)?,
            ColumnType::List(item) => list(item, field)?,
        })
    }

    fn word(&self, text: &str) -> Text {
        self.words.iter().find(|word| &***word == text).cloned().unwrap_or_else(|| Text::from(text))
    }
}

fn fixed<const N: usize>(field: &[u8]) -> Result<[u8; N], Malformed> {
    field.try_into().map_err(|_| Malformed)
}

fn utf8(field: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(field).map_err(|_| Malformed)
}

fn inet(field: &[u8]) -> Result<Inet, Malformed> {
    let address = match field {
        [FAMILY_V4, _, _, 4, octets @ ..] => IpAddr::V4(Ipv4Addr::from(fixed::<4>(octets)?)),
        [FAMILY_V6, _, _, 16, octets @ ..] => IpAddr::V6(Ipv6Addr::from(fixed::<16>(octets)?)),
        _ => return Err(Malformed),
    };
    Inet::new(address, field[1]).map_err(|_| Malformed)
}

fn range(field: &[u8]) -> Result<Value, Malformed> {
    let bound = |at: usize| -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(fixed(field.get(at..at + 8).ok_or(Malformed)?)?))
    };
    // Whole numbers are always given as [start, end); other flags were refused by the column's check.
    if field.first() == Some(&LOWER_INCLUSIVE) {
        Ok(Value::Range(bound(5)?, bound(17)?))
    } else {
        Err(Malformed)
    }
}

fn json(field: &[u8]) -> Result<Value, Malformed> {
    let [JSONB_VERSION, text @ ..] = field else { return Err(Malformed) };
    // A number beyond a float's, which only somebody by hand can have written, is given as its text.
    let json = match serde_json::from_slice::<Json>(text) {
        Ok(json) => json,
        Err(_) => Json::String(utf8(text)?.to_owned()),
    };
    Ok(Value::Json(Arc::new(json)))
}

fn list(item: &ColumnType, field: &[u8]) -> Result<Value, Malformed> {
    let number = |at: usize| -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(fixed(field.get(at..at + 4).ok_or(Malformed)?)?))
    };
    if number(0)? == 0 {
        return Ok(Value::List(Arc::from([])));
    }
    let count = number(12)?;
    let decoder = Decoder::new(item);
    let mut at = 20;
    let mut items = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(number(at)?).map_err(|_| Malformed)?;
        items.push(decoder.decode(field.get(at + 4..at + 4 + length).ok_or(Malformed)?)?);
        at += 4 + length;
    }
    Ok(Value::List(items.into()))
}
