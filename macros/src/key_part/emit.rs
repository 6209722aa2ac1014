//! The implementation of `KeyPart` for a struct or an enum.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, GenericParam, Index, Member, Variant, WherePredicate, parse_quote};

use crate::crate_path::CratePath;
use crate::hygiene::{generated_at, local, placed_at};

pub(crate) fn emit(input: &DeriveInput, krate: &CratePath) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    let bounds: Vec<WherePredicate> = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) | GenericParam::Const(_) => None,
        })
        .map(|parameter| parse_quote!(#parameter: #krate::KeyPart))
        .collect();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let key = local("key");
    let body = match &input.data {
        Data::Struct(data) => structure(&data.fields, krate),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(arm);
            quote!(match self { #(#arms)* })
        }
        Data::Union(_) => unreachable!("a union was reported"),
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics #krate::KeyPart for #name #type_generics #where_clause {
            fn write_key(&self, #key: &mut #krate::KeyWriter) {
                #body
            }
        }
    }
}

/// A newtype is written as what it holds, so it can replace that in a signature without a change of keys.
fn structure(fields: &Fields, krate: &CratePath) -> TokenStream {
    let key = local("key");
    // `self` has hygiene too: it must come from where the receiver does, not from the span of a field.
    let receiver = quote!(self);
    if let Fields::Unnamed(unnamed) = fields
        && unnamed.unnamed.len() == 1
    {
        let span = generated_at(unnamed.unnamed[0].ty.span());
        let krate = placed_at(span, krate.to_token_stream());
        return quote_spanned!(span=> #krate::KeyPart::write_key(&#receiver.0, #key););
    }
    let values = fields.iter().enumerate().map(|(index, field)| {
        let member = field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named);
        quote_spanned!(generated_at(field.ty.span())=> &#receiver.#member)
    });
    items(fields, values)
}

fn arm(variant: &Variant) -> TokenStream {
    let key = local("key");
    let name = &variant.ident;
    let text = name.unraw().to_string();
    let bound: Vec<Ident> =
        (0..variant.fields.len()).map(|index| format_ident!("field_{index}", span = key.span())).collect();
    let members = variant.fields.members();
    if bound.is_empty() {
        // `V()` and `V {}` are no paths in a pattern.
        let braces = (!matches!(variant.fields, Fields::Unit)).then(|| quote!({ .. }));
        return quote!(Self::#name #braces => #key.name(#text),);
    }
    let items = items(&variant.fields, bound.iter().map(|name| quote!(#name)));
    quote!(Self::#name { #(#members: #bound),* } => { #key.name(#text); #items })
}

/// One `item` for each field; errors about a field's type are reported there.
fn items(fields: &Fields, values: impl Iterator<Item = TokenStream>) -> TokenStream {
    let key = local("key");
    let items = fields.iter().zip(values).map(|(field, value)| {
        let span = generated_at(field.ty.span());
        quote_spanned!(span=> #key.item(#value);)
    });
    quote!(#key.open(); #(#items)* #key.close();)
}
