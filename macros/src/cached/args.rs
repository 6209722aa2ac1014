//! Syntax of `#[cached(..)]`, nothing else.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Expr, Type};

use crate::arguments::{Arguments, FromValue, Given, Grammar, Misspelt, Value};
use crate::crate_path::CratePath;
use crate::diagnostics::{Diagnostics, did_you_mean, list};
use crate::hygiene::ends;
use crate::value::{Calls, Choice, Duration, Flag, Fraction, Names, OrOff, Switch, Template};

/// The options, each as it was given.
pub(crate) struct Args {
    pub(crate) key: Option<Given<Template>>,
    pub(crate) ttl: Option<Given<Duration>>,
    pub(crate) skip: Option<Given<Names>>,
    pub(crate) skip_all: Option<Given<Flag>>,
    pub(crate) tags: Option<Given<Vec<Template>>>,
    pub(crate) depends_on: Option<Given<Calls>>,
    pub(crate) negative_ttl: Option<Given<OrOff<Duration>>>,
    pub(crate) cache_if: Option<Given<Expr>>,
    pub(crate) ttl_from: Option<Given<Expr>>,
    pub(crate) jitter: Option<Given<Fraction>>,
    pub(crate) timeout: Option<Given<Duration>>,
    pub(crate) load_timeout: Option<Given<Duration>>,
    pub(crate) codec: Option<Given<Codec>>,
    pub(crate) compress: Option<Given<Compress>>,
    pub(crate) compress_above: Option<Given<u32>>,
    pub(crate) version: Option<Given<u32>>,
    pub(crate) hold_off: Option<Given<Duration>>,
    pub(crate) local: Option<Given<OrOff<Duration>>>,
    pub(crate) refresh_after: Option<Given<Duration>>,
    pub(crate) stale_if_error: Option<Given<Duration>>,
    pub(crate) sliding: Option<Given<Switch>>,
    pub(crate) track: Option<Given<Switch>>,
    pub(crate) using: Option<Given<Expr>>,
    pub(crate) krate: Option<Given<CratePath>>,
    pub(crate) misspelt: Misspelt,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut arguments = Arguments::parse(tokens, Grammar::Options, diagnostics);
        Self {
            key: arguments.take("key", diagnostics),
            ttl: arguments.take("ttl", diagnostics),
            skip: arguments.take("skip", diagnostics),
            skip_all: arguments.take("skip_all", diagnostics),
            tags: arguments.take("tags", diagnostics),
            depends_on: arguments.take("depends_on", diagnostics),
            negative_ttl: arguments.take("negative_ttl", diagnostics),
            cache_if: arguments.take("cache_if", diagnostics),
            ttl_from: arguments.take("ttl_from", diagnostics),
            jitter: arguments.take("jitter", diagnostics),
            timeout: arguments.take("timeout", diagnostics),
            load_timeout: arguments.take("load_timeout", diagnostics),
            codec: arguments.take("codec", diagnostics),
            compress: arguments.take("compress", diagnostics),
            compress_above: arguments.take("compress_above", diagnostics),
            version: arguments.take("version", diagnostics),
            hold_off: arguments.take("hold_off", diagnostics),
            local: arguments.take("local", diagnostics),
            refresh_after: arguments.take("refresh_after", diagnostics),
            stale_if_error: arguments.take("stale_if_error", diagnostics),
            sliding: arguments.take("sliding", diagnostics),
            track: arguments.take("track", diagnostics),
            using: arguments.take("using", diagnostics),
            krate: arguments.take("crate", diagnostics),
            misspelt: arguments.finish(diagnostics),
        }
    }
}

/// How values are written: one of ours by its name, or a type of the user's.
pub(crate) enum Codec {
    /// What is written if nothing is said.
    Default,
    /// The name of the type, at the place of the word.
    Named(Ident),
    Own(Box<Type>),
}

/// The words, with the types that the runtime has for them.
const CODECS: [(&str, &str); 4] =
    [("message_pack", "MessagePack"), ("json", "Json"), ("postcard", "Postcard"), ("bincode", "Bincode")];

impl FromValue for Codec {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let word = value.word();
        if let Some(word) = &word
            && let Some((_, ty)) = CODECS.iter().find(|(known, _)| known == word)
        {
            return Some(Self::Named(Ident::new(ty, ends(value.to_token_stream()).0)));
        }
        let known = || CODECS.iter().map(|(word, _)| *word);
        // Types have capitals, so a small letter is meant as one of the words.
        let similar = word
            .filter(|word| word.starts_with(char::is_lowercase))
            .and_then(|word| did_you_mean(&word, known()));
        let own = syn::parse2::<Type>(value.to_token_stream()).ok().filter(|ty| matches!(ty, Type::Path(_)));
        if own.is_none() || similar.is_some() {
            let remedy = similar.map_or_else(String::new, |similar| format!("; did you mean `{similar}`?"));
            diagnostics.error_on(value, format!("`{name}` is one of {}, or a type{remedy}", list(known())));
            return None;
        }
        own.map(|ty| Self::Own(Box::new(ty)))
    }
}

/// How values are compressed: the name that the runtime has for the format, at the place of the word.
pub(crate) struct Compress(pub(crate) Ident);

#[derive(Clone, Copy)]
struct Format(&'static str);

impl Choice for Format {
    const WORDS: &'static [(&'static str, Self)] = &[("lz4", Self("Lz4")), ("zstd", Self("Zstd"))];
}

impl FromValue for Compress {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Format(format) = Format::from_value(name, value, diagnostics)?;
        // The feature may be missing, which is reported there.
        Some(Self(Ident::new(format, ends(value.to_token_stream()).0)))
    }
}
