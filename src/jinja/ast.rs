//! What a template is made of.

use std::rc::Rc;

use super::value::Value;

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    /// A literal.
    Const(Value),
    /// A variable.
    Name(Rc<str>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `{a: b}`.
    Dict(Vec<(Expr, Expr)>),
    /// `a if b else c`.
    Cond(Box<[Expr; 2]>, Option<Box<Expr>>),
    /// `a and b`.
    And(Box<[Expr; 2]>),
    /// `a or b`.
    Or(Box<[Expr; 2]>),
    /// `not a`.
    Not(Box<Expr>),
    /// `-a`.
    Neg(Box<Expr>),
    /// `+a`.
    Pos(Box<Expr>),
    /// `a + b` and its like.
    Binary(Op, Box<[Expr; 2]>),
    /// `a ~ b ~ c`.
    Concat(Vec<Expr>),
    /// `a < b <= c`.
    Compare(Box<Expr>, Vec<(Op, Expr)>),
    /// `a.b`.
    Attr(Box<Expr>, Rc<str>),
    /// `a[b]`.
    Item(Box<[Expr; 2]>),
    /// `a[b:c:d]`.
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    /// `a(b, c=d)`.
    Call(Box<Expr>, Args),
    /// `a | b(c)`; without `a` in a filter block.
    Filter(Option<Box<Expr>>, Rc<str>, Args),
    /// `a is b(c)`.
    Test(Box<Expr>, Rc<str>, Args),
}

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// By place.
    pub positional: Vec<Expr>,
    /// By name.
    pub named: Vec<(Rc<str>, Expr)>,
    /// `*a`.
    pub rest: Option<Box<Expr>>,
    /// `**a`.
    pub named_rest: Option<Box<Expr>>,
}

/// Where a value is put.
#[derive(Debug)]
pub(crate) enum Target {
    /// A variable.
    Name(Rc<str>),
    /// A field of a namespace.
    Field(Rc<str>, Rc<str>),
    /// Several.
    Tuple(Vec<Target>),
}

/// A statement, with its line.
#[derive(Debug)]
pub(crate) struct Stmt {
    /// From 1.
    pub line: usize,
    /// What it does.
    pub kind: StmtKind,
}

/// What a statement does.
#[derive(Debug)]
pub(crate) enum StmtKind {
    /// Writes text.
    Data(Rc<str>),
    /// `{{ a }}`.
    Print(Expr),
    /// `{% for %}`.
    For(Rc<For>),
    /// `{% if %}`, `{% elif %}`, and what follows `{% else %}`.
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    /// `{% set a = b %}`.
    Set(Target, Expr),
    /// `{% set a %}b{% endset %}`, with filters.
    SetBlock(Target, Option<Expr>, Vec<Stmt>),
    /// `{% with %}`.
    With(Vec<(Target, Expr)>, Vec<Stmt>),
    /// `{% macro %}`.
    Macro(Rc<Macro>),
    /// `{% call %}`: the macro of the body, and the call.
    CallBlock(Rc<Macro>, Expr),
    /// `{% generation %}`: its own variables, and nothing else.
    Generation(Vec<Stmt>),
    /// `{% filter %}`.
    FilterBlock(Expr, Vec<Stmt>),
    /// `{% autoescape %}`.
    Autoescape(Expr, Vec<Stmt>),
    /// `{% block %}`.
    Block(Vec<Stmt>),
    /// `{% break %}`.
    Break,
    /// `{% continue %}`.
    Continue,
    /// A tag that needs other templates.
    Foreign(Rc<str>),
}

/// A loop.
#[derive(Debug)]
pub(crate) struct For {
    /// What each item is put in.
    pub target: Target,
    /// The items.
    pub items: Expr,
    /// `if` of the loop.
    pub test: Option<Expr>,
    /// For each.
    pub body: Vec<Stmt>,
    /// Where there is none.
    pub otherwise: Vec<Stmt>,
    /// Whether `loop(...)` begins it anew.
    pub recursive: bool,
}

/// A macro.
#[derive(Debug)]
pub(crate) struct Macro {
    /// Empty for the body of a call.
    pub name: Rc<str>,
    /// Names of its arguments.
    pub params: Vec<Rc<str>>,
    /// What the last of them are where the caller says nothing.
    pub defaults: Vec<Expr>,
    /// What it writes.
    pub body: Vec<Stmt>,
    /// Whether it uses `varargs`.
    pub varargs: bool,
    /// Whether it uses `kwargs`.
    pub kwargs: bool,
    /// Whether it uses `caller`.
    pub caller: bool,
}
