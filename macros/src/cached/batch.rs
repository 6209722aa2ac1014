//! Batches: a key with `{ids[]}` names one entry for each element of the parameter `ids`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{FnArg, GenericArgument, Pat, PatIdent, PathArguments, Type, parse_quote};

use super::args::Args;
use super::emit::{codec, handle_returning, key, options, settings, verdict};
use super::model::Model;
use crate::diagnostics::Diagnostics;
use crate::hygiene::{ends, generated_at, local, placed_at};
use crate::item::Function;
use crate::signature::{Bindings, Output, argument_of, peel};
use crate::value::{Calls, Placeholder, Template};
use crate::{mention, shim, writes};

/// A function whose entries are named by the elements of one parameter.
pub(crate) struct Batch {
    parameter: Ident,
    collection: Collection,
    /// The type of an id, or `_` where it has no name.
    id: Type,
    /// What the body needs beside the ids, anew each time it runs.
    arguments: Vec<Ident>,
    /// The tags that name an element, and so belong to one record.
    tags_of_records: bool,
}

#[derive(Clone)]
enum Collection {
    Vec,
    Slice,
    /// Made by `FromIterator`.
    Set(Box<Type>),
}

/// The parameters that templates name element by element, as these know them.
pub(super) fn elements(args: &Args, bindings: &Bindings) -> Vec<(String, Ident)> {
    let known = |placeholder: &Placeholder| {
        let parameter = bindings.get(&placeholder.root)?;
        let element = Ident::new("element", Span::mixed_site().located_at(parameter.span()));
        Some((placeholder.root.clone(), element))
    };
    template(args).into_iter().flat_map(each).filter_map(known).collect()
}

fn template(args: &Args) -> Option<&Template> {
    args.key.as_ref().and_then(|given| given.value.as_ref())
}

fn each(template: &Template) -> impl Iterator<Item = &Placeholder> {
    template.placeholders().filter(|placeholder| placeholder.each)
}

impl Batch {
    /// What the key's template says, if it is one of a batch; mistakes are reported. The record becomes what `output` stores.
    pub(super) fn new(
        args: &Args,
        function: &Function,
        output: &mut Output,
        bindings: &Bindings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let template = template(args)?;
        let mut placeholders = each(template);
        let placeholder = placeholders.next()?;
        if let Some(second) = placeholders.next() {
            let (first, second) = (placeholder.text(), second.text());
            let message = format!(
                "`{first}` and `{second}`: an entry is named by an element of one parameter; keep one `[]`"
            );
            diagnostics.error(template.literal.span(), message);
            return None;
        }
        // One that names no parameter is reported with all the others.
        bindings.get(&placeholder.root)?;
        check_whole(placeholder, args, diagnostics);
        check_options(args, diagnostics);
        check_receiver(function, diagnostics);
        let (parameter, collection, id) = parameter(placeholder, function, template, diagnostics)?;
        let record = record(output, diagnostics)?;
        output.payload = record;
        let arguments = bindings
            .iter()
            .filter(|name| **name != "self" && name.unraw() != placeholder.root)
            .cloned()
            .collect();
        let tags = args.tags.iter().filter_map(|given| given.value.as_ref()).flatten();
        let tags_of_records = tags.flat_map(each).next().is_some();
        Some(Self { parameter, collection, id, arguments, tags_of_records })
    }
}

/// The whole collection must not be part of what one record depends on.
fn check_whole(placeholder: &Placeholder, args: &Args, diagnostics: &mut Diagnostics) {
    let name = &placeholder.root;
    let tags = args.tags.iter().filter_map(|given| given.value.as_ref()).flatten();
    for template in template(args).into_iter().chain(tags) {
        if template.placeholders().any(|other| !other.each && other.root == *name) {
            let message = format!(
                "`{{{name}}}` is the whole batch, of which an entry holds one record; write `{{{name}[]}}`"
            );
            diagnostics.error(template.literal.span(), message);
        }
    }
    let calls = args.depends_on.as_ref().and_then(|given| given.value.as_ref());
    for call in calls.into_iter().flat_map(|Calls(calls)| calls) {
        if let Some(whole) = mention::find(call.to_token_stream(), name) {
            let message = format!(
                "`{name}` is the whole batch, on which no single record depends; call the other function in the body"
            );
            diagnostics.error(whole.span(), message);
        }
    }
}

/// What only a function of one record has.
fn check_options(args: &Args, diagnostics: &mut Diagnostics) {
    let names = [
        args.refresh_after.as_ref().map(|given| &given.name),
        args.stale_if_error.as_ref().map(|given| &given.name),
        args.sliding.as_ref().map(|given| &given.name),
        args.local.as_ref().map(|given| &given.name),
    ];
    for name in names.into_iter().flatten() {
        let message =
            format!("`{name}` is for functions of one record; a batch asks the store each time; remove it");
        diagnostics.error(name.span(), message);
    }
}

/// The body may run more than once, so it cannot consume `self`.
fn check_receiver(function: &Function, diagnostics: &mut Diagnostics) {
    let Some(receiver) = function.signature.receiver() else { return };
    if !matches!(receiver.kind, syn::ReceiverKind::Reference(_, _, None)) {
        diagnostics.error_on(receiver, "a batch may run its body more than once; take `&self`");
    }
}

/// The parameter and what kind of collection it is.
fn parameter(
    placeholder: &Placeholder,
    function: &Function,
    template: &Template,
    diagnostics: &mut Diagnostics,
) -> Option<(Ident, Collection, Type)> {
    let name = &placeholder.root;
    check_mutable(function, diagnostics);
    let typed = function.signature.inputs.iter().find_map(|input| match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pattern) if pattern.ident.unraw() == name => Some((pattern.ident.clone(), &*typed.ty)),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    });
    let Some((ident, ty)) = typed else {
        let message =
            format!("`{}` needs a parameter of its own, such as `ids: Vec<u64>`", placeholder.text());
        diagnostics.error(template.literal.span(), message);
        return None;
    };
    if let Some((collection, id)) = collection(ty) {
        let named = !matches!(peel(id), Type::ImplTrait(_));
        return Some((ident, collection, if named { id.clone() } else { parse_quote!(_) }));
    }
    let remedy = match peel(ty) {
        Type::Reference(reference) => match argument_of("Vec", &reference.elem) {
            Some(element) => format!("write `{name}: &[{}]`", text(element)),
            None => format!("write `{name}: Vec<..>` or `{name}: &[..]`"),
        },
        Type::Path(_) => format!("write `{name}: Vec<{0}>` or `{name}: &[{0}]`", text(ty)),
        _ => format!("write `{name}: Vec<..>` or `{name}: &[..]`"),
    };
    diagnostics.error_on(
        ty,
        format!(
            "`{}` stands for each element of `{name}`, which is no `Vec`, slice, `HashSet` or `BTreeSet`; {remedy}",
            placeholder.text()
        ),
    );
    None
}

/// The kind, and the type of an element.
fn collection(ty: &Type) -> Option<(Collection, &Type)> {
    let ty = peel(ty);
    if let Type::Reference(reference) = ty {
        return match peel(&reference.elem) {
            Type::Slice(slice) if reference.mutability.is_none() => Some((Collection::Slice, &slice.elem)),
            _ => None,
        };
    }
    if let Some(element) = argument_of("Vec", ty) {
        return Some((Collection::Vec, element));
    }
    let element = argument_of("HashSet", ty).or_else(|| argument_of("BTreeSet", ty))?;
    Some((Collection::Set(Box::new(ty.clone())), element))
}

/// A binding is made anew for each run of the body, where the signature's `mut` does not reach.
fn check_mutable(function: &Function, diagnostics: &mut Diagnostics) {
    struct Finder<'a>(&'a mut Diagnostics);
    impl<'ast> Visit<'ast> for Finder<'_> {
        fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
            if let Some(mutable) = &pattern.mutability {
                let name = &pattern.ident;
                let message = format!(
                    "a batch may run its body more than once; write `let mut {name} = {name};` in it instead"
                );
                self.0.error(mutable.span(), message);
            }
            visit::visit_pat_ident(self, pattern);
        }
    }
    for input in &function.signature.inputs {
        if let FnArg::Typed(typed) = input {
            Finder(diagnostics).visit_pat(&typed.pat);
        }
    }
}

/// The type of one record.
fn record(output: &Output, diagnostics: &mut Diagnostics) -> Option<Type> {
    if output.is_nothing() {
        return None;
    }
    let value = peel(&output.value);
    if let Some(record) = second_argument(value, "HashMap").or_else(|| second_argument(value, "BTreeMap")) {
        if argument_of("Option", record).is_some() {
            diagnostics.error_on(
                record,
                "a record that does not exist is left out of the map; return the type without `Option`",
            );
            return None;
        }
        return Some(record.clone());
    }
    if let Some(element) = argument_of("Vec", value) {
        let record = argument_of("Option", element);
        if record.is_none() {
            diagnostics.error_on(
                element,
                format!(
                    "a record may not exist, and its place must show it; return `Vec<Option<{}>>`",
                    text(element)
                ),
            );
        }
        return record.cloned();
    }
    diagnostics.error_on(
        value,
        "a batch returns a `HashMap` or a `BTreeMap` from ids to records, or a `Vec<Option<_>>` in the order of the \
         ids; each also in a `Result`",
    );
    None
}

fn second_argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.nth(1)
}

/// A type as the user would write it, near enough.
fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(" :: ", "::").replace(" < ", "<").replace(" >", ">")
}

/// The shim.
pub(super) fn emit(
    function: &Function,
    model: &Model,
    batch: &Batch,
    name: &TokenStream,
    home: &TokenStream,
) -> TokenStream {
    let krate = &model.krate;
    let private = krate.private();
    let (plan, entries) = (local("plan"), local("entries"));
    let element = element_of(batch);
    let tags: Vec<_> = model
        .tags
        .iter()
        .map(|tag| {
            let write = writes::emit(tag, krate);
            quote!(.tag(#write))
        })
        .collect();
    let (common, own) = if batch.tags_of_records { (Vec::new(), tags) } else { (tags, Vec::new()) };
    let depends_on = model.depends_on.iter().map(|call| {
        let call = shim::reference(call);
        quote!(.depends_on(#call))
    });
    let given = settings(&model.settings, krate);
    let constants = options(&given.constants, krate);
    let steps: Vec<_> = common.into_iter().chain(depends_on).chain(given.computed).collect();
    let steps = (!steps.is_empty()).then(|| quote!(#plan #(#steps)*;));
    let key = key(&model.key, krate, ["key", "key_by_path"]);
    let parameter = &batch.parameter;
    let ids = match &batch.collection {
        Collection::Vec | Collection::Set(_) => quote!(#parameter),
        Collection::Slice => {
            let private = krate.private_at(parameter.span());
            quote_spanned!(generated_at(parameter.span())=> #private::owned(#parameter))
        }
    };
    let call = call(function, model, batch, &entries);
    let body = quote! {
        #[allow(unused_mut)]
        let mut #plan = #private::Plan::new(#name, #home, #constants);
        #steps
        let #entries = #private::entries(#plan, #ids, |#plan, #element| {
            #plan #key #(#own)*;
        });
        #call
    };
    handle_returning(function, krate, &model.output, &quote!(CachedBatch), None, &body)
}

fn element_of(batch: &Batch) -> Ident {
    Ident::new("element", Span::mixed_site().located_at(batch.parameter.span()))
}

/// The handle, made from the entries, a codec, a verdict and a body that can run again.
fn call(function: &Function, model: &Model, batch: &Batch, entries: &Ident) -> TokenStream {
    let Model { krate, output, .. } = model;
    let (ty, shape) = (&output.ty, output.shape);
    // Reported at the return type: it is what a bound on the records can be unmet by.
    let private = krate.private_at(output.span);
    let place = Span::call_site().located_at(output.span);
    let (codec, verdict) = (codec(model), verdict(model));
    let (parameter, missing) = (&batch.parameter, local("missing"));
    let plain = krate.private();
    let ids = match &batch.collection {
        Collection::Vec => quote!(let #parameter = #missing;),
        Collection::Slice => quote!(let #parameter: &[_] = &#missing;),
        Collection::Set(ty) => quote!(let #parameter: #ty = #plain::collected(#missing);),
    };
    let again = batch.arguments.iter().map(|argument| {
        let private = krate.private_at(argument.span());
        let value = quote_spanned!(generated_at(argument.span())=> #private::again(&#argument));
        quote!(let #argument = #value;)
    });
    // Reported at the collection, which may be keyed by another type.
    let (first, last) = ends(output.value.to_token_stream());
    let (path, keyed) = (krate.private_at(first), placed_at(last, quote!(keyed)));
    let (value, id, record, how) = (&output.value, &batch.id, &output.payload, local("gathering"));
    let gathering = quote_spanned!(generated_at(first)=> #path::#keyed::<#value, #id, #record>(&#entries));
    let body = shim::body(output, &function.body);
    let run = quote! {
        move |#missing| {
            #(#again)*
            #plain::once(async move || -> #ty {
                #ids
                #body
            })
        }
    };
    let arguments = quote!(#entries, #how, #codec, #verdict, #run);
    let shape = placed_at(place, quote!(#shape));
    let call =
        quote_spanned!(place=> #private::batch::<#private::shape::#shape, _, _, _, _, _, _>(#arguments));
    quote!(let #how = #gathering; #call)
}
