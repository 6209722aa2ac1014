//! Meaning of `#[cached(..)]`: defaults, and the rules between options and the function. Only valid models exist.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Lifetime, Type, TypeReference};

use super::aging::Aging;
use super::args::{Args, Codec, Compress};
use super::batch::Batch;
use super::key::Key;
use crate::arguments::value;
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::item::Function;
use crate::signature::{Bindings, Output, check_wrappable};
use crate::value::{Calls, Duration, Fraction, OrOff, Switch, check_positive, positive};
use crate::writes::{Scope, Write, resolve};

/// A cached function that can be emitted.
pub(crate) struct Model {
    pub(crate) krate: CratePath,
    pub(crate) using: Option<Expr>,
    pub(crate) key: Key,
    pub(crate) tags: Vec<Vec<Write>>,
    pub(crate) depends_on: Vec<Expr>,
    pub(crate) settings: Settings,
    pub(crate) codec: Codec,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) ttl_from: Option<Expr>,
    pub(crate) output: Output,
    /// Where each element of a parameter has an entry of its own.
    pub(crate) batch: Option<Batch>,
}

/// What the runtime has its own default for.
pub(crate) struct Settings {
    pub(crate) ttl: Option<Duration>,
    pub(crate) negative_ttl: Option<OrOff<Duration>>,
    pub(crate) jitter: Option<f64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) version: Option<u32>,
    pub(crate) hold_off: Option<Duration>,
    pub(crate) local: Option<OrOff<Duration>>,
    pub(crate) aging: Aging,
    pub(crate) untracked: bool,
    pub(crate) compress: Option<Compress>,
    pub(crate) compress_above: Option<u32>,
}

const STORES_NOTHING: &str = "would store nothing; give it a length, or remove `#[cached]`";

impl Model {
    pub(crate) fn new(mut args: Args, function: &Function, diagnostics: &mut Diagnostics) -> Option<Self> {
        let signature = &function.signature;
        let mut output = Output::of(signature);
        check_function(function, &output, diagnostics);
        let bindings = Bindings::of(signature, diagnostics);
        let batch = Batch::new(&args, function, &mut output, &bindings, diagnostics);
        let elements = super::batch::elements(&args, &bindings);
        let bindings = bindings.with_elements(elements);
        if let Some(negative_ttl) = &args.negative_ttl
            && batch.is_none()
            && !output.shape.is_optional()
        {
            let message = "`negative_ttl` is for functions that return an `Option`; remove it";
            diagnostics.error(negative_ttl.name.span(), message);
        }
        let aging = Aging::new(&mut args, signature, &output, diagnostics);
        let misspelt = &args.misspelt;
        if args.ttl.is_none() && args.ttl_from.is_none() && !misspelt.any(&["ttl", "ttl_from"]) {
            diagnostics.error(
                Span::call_site(),
                "`ttl` is missing; say how long an entry lives, as in `ttl = \"1h\"`",
            );
        }

        if let (Some(above), None) = (&args.compress_above, &args.compress)
            && !misspelt.any(&["compress"])
        {
            let message =
                "`compress_above` says nothing without `compress`; add `compress = lz4`, or remove it";
            diagnostics.error(above.name.span(), message);
        }

        if let (Some(skip), Some(_)) = (&args.skip, &args.skip_all) {
            diagnostics.error(skip.name.span(), "`skip_all` skips these too; keep one of the two");
        }
        let all_skipped = args.skip_all.is_some() || misspelt.any(&["skip", "skip_all"]);
        let key = Key::new(args.key, args.skip, all_skipped, &bindings, signature, diagnostics);
        let scope = Scope { bindings: &bindings, result: false };
        let tags = value(args.tags).unwrap_or_default();
        let tags = tags.iter().filter_map(|tag| resolve(tag, scope, diagnostics)).collect();

        if let Some(given) = &args.negative_ttl
            && let Some(OrOff::Value(duration)) = &given.value
        {
            let why = "would store nothing; write `negative_ttl = off`";
            check_positive(&given.name, Some(duration), why, diagnostics);
        }
        if let Some(given) = &args.local
            && let Some(OrOff::Value(duration)) = &given.value
        {
            check_positive(
                &given.name,
                Some(duration),
                "would keep nothing; write `local = off`",
                diagnostics,
            );
        }
        let no_time = "would give up at once; give it a length, or leave it out for the default";
        let settings = Settings {
            ttl: positive(args.ttl, STORES_NOTHING, diagnostics),
            negative_ttl: value(args.negative_ttl),
            jitter: value(args.jitter).map(|Fraction(fraction)| fraction),
            timeout: positive(args.timeout, no_time, diagnostics),
            load_timeout: positive(args.load_timeout, no_time, diagnostics),
            version: value(args.version),
            hold_off: positive(
                args.hold_off,
                "would hold nothing off; leave it out for the default",
                diagnostics,
            ),
            local: value(args.local),
            aging,
            untracked: value(args.track) == Some(Switch::Off),
            compress: value(args.compress),
            compress_above: value(args.compress_above),
        };
        Some(Self {
            krate: value(args.krate).unwrap_or_default(),
            using: value(args.using),
            key: key?,
            tags,
            depends_on: value(args.depends_on).map_or_else(Vec::new, |Calls(calls)| calls),
            settings,
            codec: value(args.codec).unwrap_or(Codec::Default),
            cache_if: value(args.cache_if),
            ttl_from: value(args.ttl_from),
            output,
            batch,
        })
    }
}

/// What does not depend on the options.
pub(super) fn check_function(function: &Function, output: &Output, diagnostics: &mut Diagnostics) {
    check_wrappable("cached", &function.signature, diagnostics);
    check_neighbours(&function.attributes, diagnostics);
    check_output(output, diagnostics);
}

/// A cached function is no `async fn` any more, so what wraps one must have been expanded before.
fn check_neighbours(attributes: &[Attribute], diagnostics: &mut Diagnostics) {
    for attribute in attributes {
        let path = attribute.path();
        let Some(last) = path.segments.last() else { continue };
        if last.ident == "cached" {
            diagnostics.error_on(path, "`#[cached]` is given twice; remove one");
        } else if ["with_lock", "cache_invalidate", "cache_put"].iter().any(|name| last.ident == name) {
            let name = &last.ident;
            diagnostics.error_on(
                path,
                format!("`#[{name}]` wraps the body of an `async fn`; put it above `#[cached]`"),
            );
        }
    }
}

fn check_output(output: &Output, diagnostics: &mut Diagnostics) {
    if output.is_nothing() {
        diagnostics.error(output.span, "there is nothing to cache; return a value");
    }
    let mut borrows = Borrows(None);
    borrows.visit_type(&output.value);
    if let Some((span, instead)) = borrows.0 {
        diagnostics.error(span, format!("a cached value must own its data; {instead}"));
    }
}

/// The first borrow in a type. Only `'static` is let through, for `Cow<'static, str>` owns what it is read into.
struct Borrows(Option<(Span, &'static str)>);

impl<'ast> Visit<'ast> for Borrows {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let instead = match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => "return `String`",
            Type::Slice(_) => "return `Vec<_>`",
            _ => "return the type without `&`",
        };
        self.0.get_or_insert((reference.and_token.span, instead));
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.0.get_or_insert((lifetime.span(), "return a type without a lifetime"));
        }
    }
}
