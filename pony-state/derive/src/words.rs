//! `#[derive(Enum)]`.

use crate::attribute::{Given, path, text};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "Enum needs an enum; a struct derives Entity or Part"));
    };
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "Enum needs at least one variant"));
    }
    let remote = remote(&input.attrs)?;
    let words = data.variants.iter().map(word).collect::<Result<Vec<_>>>()?;
    for (place, word) in words.iter().enumerate() {
        if words.iter().take(place).any(|other| other.value() == word.value()) {
            return Err(Error::new(word.span(), format!("`{}` is the word of two variants", word.value())));
        }
    }
    let (name, count, places) = (&input.ident, words.len(), 0..words.len());
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let remote = remote.map(|remote| conversions(name, &remote, &variants));
    Ok(quote! {
        #remote

        impl #name {
            /// Its values, in order of declaration.
            pub const ALL: [Self; #count] = [#(Self::#variants),*];

            /// The word that stands for it in JSON, SQL and URLs.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self { #(Self::#variants => #words),* }
            }
        }

        impl ::pony_state::Column for #name {
            fn column_type() -> ::pony_state::ColumnType {
                ::pony_state::ColumnType::Enum(::std::vec![#(::std::string::String::from(#words)),*])
            }

            fn to_value(&self) -> ::pony_state::Value {
                // Shared, so that an index over many rows holds and compares one text per word.
                static WORDS: ::std::sync::LazyLock<[::pony_state::Text; #count]> =
                    ::std::sync::LazyLock::new(|| [#(::pony_state::Text::from(#words)),*]);
                let place: usize = match self { #(Self::#variants => #places),* };
                ::pony_state::Value::Text(::pony_state::Text::clone(&WORDS[place]))
            }

            fn from_value(
                value: &::pony_state::Value,
            ) -> ::core::result::Result<Self, ::pony_state::ValueError> {
                let word = value.as_text();
                word.and_then(|word| word.parse().ok()).ok_or_else(|| {
                    ::pony_state::ValueError::wrong_type(&<Self as ::pony_state::Column>::column_type(), value)
                })
            }
        }

        impl ::core::convert::From<#name> for ::pony_state::Value {
            fn from(it: #name) -> Self {
                ::pony_state::Column::to_value(&it)
            }
        }

        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::core::str::FromStr for #name {
            type Err = ::pony_state::ValueError;

            fn from_str(word: &str) -> ::core::result::Result<Self, ::pony_state::ValueError> {
                match word {
                    #(#words => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(::pony_state::ValueError::wrong_type(
                        &<Self as ::pony_state::Column>::column_type(),
                        &::pony_state::Value::from(word),
                    )),
                }
            }
        }
    })
}

/// The enum of another crate that this one mirrors.
fn remote(attrs: &[Attribute]) -> Result<Option<Path>> {
    let (mut remote, mut given) = (None, Given::default());
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("value")) {
        attr.parse_nested_meta(|meta| match given.once(&meta)?.as_str() {
            "remote" => {
                remote = Some(path(&text(&meta)?)?);
                Ok(())
            }
            _ => Err(meta.error("unknown; an Enum takes remote")),
        })?;
    }
    Ok(remote)
}

/// To the mirrored enum and back, and what `#[part(with = "…")]` needs to keep it in a column.
fn conversions(name: &Ident, remote: &Path, variants: &[&Ident]) -> TokenStream {
    let doc = format!("What `with = \"{name}\"` asks for a column that holds the mirrored enum.");
    let conversions = quote_spanned! {remote.span()=>
        impl ::core::convert::From<&#remote> for #name {
            fn from(it: &#remote) -> Self {
                match it { #(#remote::#variants => Self::#variants),* }
            }
        }

        impl ::core::convert::From<#remote> for #name {
            fn from(it: #remote) -> Self {
                Self::from(&it)
            }
        }

        impl ::core::convert::From<#name> for #remote {
            fn from(it: #name) -> Self {
                match it { #(#name::#variants => #remote::#variants),* }
            }
        }
    };
    quote! {
        #conversions

        #[allow(dead_code)]
        impl #name {
            #[doc = #doc]
            pub fn column_type() -> ::pony_state::ColumnType {
                <Self as ::pony_state::Column>::column_type()
            }

            #[doc = #doc]
            pub fn to_value(it: &#remote) -> ::pony_state::Value {
                ::pony_state::Column::to_value(&<Self as ::core::convert::From<&#remote>>::from(it))
            }

            #[doc = #doc]
            pub fn from_value(
                value: &::pony_state::Value,
            ) -> ::core::result::Result<#remote, ::pony_state::ValueError> {
                let own = <Self as ::pony_state::Column>::from_value(value);
                ::core::result::Result::map(own, ::core::convert::From::from)
            }
        }
    }
}

/// The word of a variant; lies where it was given.
fn word(variant: &Variant) -> Result<LitStr> {
    if !variant.fields.is_empty() {
        return Err(Error::new_spanned(&variant.fields, "variants of an Enum have no fields"));
    }
    let mut given = variant.attrs.iter().filter(|attr| attr.path().is_ident("value"));
    let Some(attr) = given.next() else {
        return Ok(LitStr::new(&kebab(&variant.ident.unraw().to_string()), variant.ident.span()));
    };
    if let Some(second) = given.next() {
        return Err(Error::new(second.path().span(), "this is given twice"));
    }
    match &attr.meta.require_name_value()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !text.value().is_empty() => Ok(text.clone()),
        other => Err(Error::new_spanned(other, "this must be a text, as in `#[value = \"802.3ad\"]`")),
    }
}

/// `ActiveBackup` → `active-backup`.
fn kebab(name: &str) -> String {
    let mut word = String::new();
    for (place, char) in name.char_indices() {
        if char.is_uppercase() && place > 0 {
            word.push('-');
        }
        word.extend(char.to_lowercase());
    }
    word
}
