//! How many: a number of at least one, or an expression that is one.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Expr, ExprLit, ExprUnary, Lit, UnOp};

use crate::arguments::{FromValue, Value};
use crate::diagnostics::Diagnostics;

/// An expression of type `u32`. A literal one is known not to be zero.
pub(crate) struct Count(Expr);

impl FromValue for Count {
    fn from_value(name: &Ident, value: &Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let expr = value.expr();
        let fault = match expr {
            Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => match number.base10_parse::<u32>() {
                Ok(0) => Some(format!("`{name}` of zero would let nobody in; give at least 1")),
                Ok(_) if matches!(number.suffix(), "" | "u32") => None,
                _ => Some(wrong(name)),
            },
            Some(Expr::Lit(_) | Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. })) | None => Some(wrong(name)),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            diagnostics.error_on(value, fault);
            return None;
        }
        expr.cloned().map(Self)
    }
}

fn wrong(name: &Ident) -> String {
    format!("`{name}` is a number of at least 1 that fits `u32`; write `{name} = 3`")
}

impl ToTokens for Count {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        self.0.to_tokens(tokens);
    }
}
