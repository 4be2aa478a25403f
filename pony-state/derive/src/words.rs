//! `#[derive(Enum)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Expr, ExprLit, Lit, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "Enum needs an enum"));
    };
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "Enum needs at least one variant"));
    }
    let words = data.variants.iter().map(word).collect::<Result<Vec<_>>>()?;
    for (place, (word, variant)) in words.iter().zip(&data.variants).enumerate() {
        if words.iter().take(place).any(|other| other == word) {
            return Err(Error::new(variant.span(), format!("`{word}` is the word of two variants")));
        }
    }
    let (name, count, places) = (&input.ident, words.len(), 0..words.len());
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    Ok(quote! {
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

/// The word of a variant.
fn word(variant: &Variant) -> Result<String> {
    if !variant.fields.is_empty() {
        return Err(Error::new(variant.fields.span(), "variants of an Enum have no fields"));
    }
    let Some(attr) = variant.attrs.iter().find(|attr| attr.path().is_ident("value")) else {
        return Ok(kebab(&variant.ident.unraw().to_string()));
    };
    match &attr.meta.require_name_value()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !text.value().is_empty() => Ok(text.value()),
        other => Err(Error::new(other.span(), "this must be a text, as in `#[value = \"802.3ad\"]`")),
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
