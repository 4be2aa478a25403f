//! What all attributes have in common: words that are given once, texts, paths, and conditions on names that the
//! compiler is left to check, since `pony-state` knows them.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, Ident, LitStr, Path, PathArguments, Result, Type};

/// The words that have been given, where.
#[derive(Default)]
pub(crate) struct Given(Vec<(String, Span)>);

impl Given {
    /// Notes a word that may be given once.
    pub(crate) fn once(&mut self, meta: &ParseNestedMeta<'_>) -> Result<String> {
        let word = word_of(meta);
        if self.has(&word) {
            return Err(meta.error("this is given twice"));
        }
        self.0.push((word.clone(), meta.path.span()));
        Ok(word)
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(it, _)| it == word)
    }

    /// Where the first word is.
    pub(crate) fn first(&self) -> Option<Span> {
        self.0.first().map(|(_, span)| *span)
    }
}

/// The word at the beginning of `word`, `word = …` or `word(…)`.
pub(crate) fn word_of(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(ToString::to_string).unwrap_or_default()
}

/// `… = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

/// A text that is a path of Rust, and lies where the text does.
pub(crate) fn path(text: &LitStr) -> Result<Path> {
    text.parse().map_err(|_| Error::new(text.span(), "this must be a path, as in `\"module::Name\"`"))
}

/// `… = "word"`, one of a few, each standing for a Rust name.
pub(crate) fn word(meta: &ParseNestedMeta<'_>, words: &[(&str, &str)]) -> Result<Ident> {
    let given = text(meta)?;
    let known = words.iter().find(|(word, _)| *word == given.value());
    known.map(|(_, name)| Ident::new(name, given.span())).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Error::new(given.span(), format!("this must be one of {}", words.join(", ")))
    })
}

/// `T` of `Option<T>`.
pub(crate) fn option_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|it| it.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) => Some(ty),
        _ => None,
    }
}

/// Where messages about generated code point, for code that names variables of its own: those must not be mistaken
/// for ones of the macro that a declaration may come from.
pub(crate) fn at(span: Span) -> Span {
    Span::call_site().located_at(span)
}

/// Has the compiler evaluate `holds`, and say at `text` what is wrong where it does not.
pub(crate) fn require(text: &LitStr, holds: &TokenStream, message: &str) -> TokenStream {
    quote_spanned!(text.span()=> const _: () = ::core::assert!(#holds, #message);)
}

/// Requires a name that needs no quotes anywhere.
pub(crate) fn require_name(name: &LitStr) -> TokenStream {
    let holds = quote_spanned!(name.span()=> ::pony_state::derived::is_name(#name));
    let message = format!("`{}` is not a name; use lower-case letters, digits and underscores", name.value());
    require(name, &holds, &message)
}
