//! Runs a template.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Args, Expr, For, Macro, Op, Stmt, StmtKind, Target};
use super::call::Call;
use super::fault::{Error, Fault, Result, fault};
use super::text::{Char, Text};
use super::value::{Dict, LoopState, Object, Value, put};
use super::{filters, functions, methods, ops, tests};

/// Macros and recursive loops inside each other.
const DEEPEST: usize = 60;

/// Characters, or items, of a single value.
pub(super) const LARGEST: usize = 1 << 24;

/// Variables, and those around them.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    variables: RefCell<HashMap<Rc<str>, Value>>,
    parent: Option<Rc<Scope>>,
}

impl Scope {
    /// Those of a whole template.
    pub(super) fn root(variables: HashMap<Rc<str>, Value>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::new(variables), parent: None })
    }

    fn inside(self: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), parent: Some(self.clone()) })
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.variables.borrow().get(name) {
                return Some(value.clone());
            }
            scope = scope.parent.as_deref()?;
        }
    }

    fn set(&self, name: &Rc<str>, value: Value) {
        self.variables.borrow_mut().insert(name.clone(), value);
    }
}

/// What comes after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// A run of a template.
pub(super) struct Run<'a> {
    /// Work that may still be done.
    fuel: u64,
    depth: usize,
    pub(super) autoescape: bool,
    root: Rc<Scope>,
    line: usize,
    /// `strftime_now`.
    pub(super) now: &'a dyn Fn(&str) -> String,
}

impl<'a> Run<'a> {
    /// Runs `body` with `variables`; `fuel` is the work that it may do.
    pub(super) fn template(
        body: &[Stmt],
        variables: HashMap<Rc<str>, Value>,
        fuel: u64,
        now: &'a dyn Fn(&str) -> String,
    ) -> Result<Vec<Char>, Error> {
        let root = Scope::root(variables);
        let mut run = Run { fuel, depth: 0, autoescape: false, root: root.clone(), line: 1, now };
        let mut out = Vec::new();
        match run.statements(body, &root, &mut out) {
            Ok(_) => Ok(out),
            Err(fault) => Err(Error { fault, line: run.line }),
        }
    }

    /// Pays for work.
    pub(super) fn spend(&mut self, work: usize) -> Result<()> {
        match self.fuel.checked_sub(work as u64) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(Fault::Exhausted),
        }
    }

    fn statements(&mut self, body: &[Stmt], scope: &Rc<Scope>, out: &mut Vec<Char>) -> Result<Flow> {
        for stmt in body {
            self.line = stmt.line;
            match self.statement(&stmt.kind, scope, out)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, stmt: &StmtKind, scope: &Rc<Scope>, out: &mut Vec<Char>) -> Result<Flow> {
        self.spend(1)?;
        match stmt {
            StmtKind::Data(text) => {
                self.spend(text.len() / 64)?;
                out.extend(text.chars().map(|char| Char::new(char, false)));
            }
            StmtKind::Print(expr) => {
                let value = self.eval(expr, scope)?;
                let text = value.str()?;
                let text = if self.autoescape { text.escaped() } else { text };
                self.spend(text.len() / 64)?;
                out.extend_from_slice(text.chars());
            }
            StmtKind::For(body) => {
                let items = self.eval(&body.items, scope)?;
                self.for_loop(body, &items, scope, 0, out)?;
            }
            StmtKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.eval(test, scope)?.truth() {
                        return self.statements(body, scope, out);
                    }
                }
                return self.statements(otherwise, scope, out);
            }
            StmtKind::Set(target, expr) => {
                let value = self.eval(expr, scope)?;
                assign(target, value, scope)?;
            }
            StmtKind::SetBlock(target, filter, body) => {
                let text = self.block(body, scope)?;
                let value = match filter {
                    Some(filter) => self.filtered(filter, text, scope)?,
                    None => text,
                };
                assign(target, value, scope)?;
            }
            StmtKind::With(values, body) => {
                let inner = scope.inside();
                for (target, expr) in values {
                    let value = self.eval(expr, scope)?;
                    assign(target, value, &inner)?;
                }
                return self.statements(body, &inner, out);
            }
            StmtKind::Macro(body) => {
                let value = Value::object(Object::Macro(body.clone(), scope.clone()));
                scope.set(&body.name, value);
            }
            StmtKind::CallBlock(body, call) => {
                let Expr::Call(callee, args) = call else { return fault("a call block needs a call") };
                let callee = self.eval(callee, scope)?;
                let mut args = self.args(args, scope)?;
                let caller = Value::object(Object::Macro(body.clone(), scope.clone()));
                args.named.push(("caller".into(), caller));
                let text = self.call(&callee, args)?.str()?;
                out.extend_from_slice(text.chars());
            }
            StmtKind::Generation(body) => {
                self.statements(body, &scope.inside(), out)?;
            }
            StmtKind::FilterBlock(filter, body) => {
                let text = self.block(body, scope)?;
                let text = self.filtered(filter, text, scope)?.str()?;
                out.extend_from_slice(text.chars());
            }
            StmtKind::Autoescape(on, body) => {
                let on = self.eval(on, scope)?.truth();
                let before = std::mem::replace(&mut self.autoescape, on);
                let flow = self.statements(body, &scope.inside(), out);
                self.autoescape = before;
                return flow;
            }
            StmtKind::Block(body) => {
                let root = self.root.clone();
                self.statements(body, &root.inside(), out)?;
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::Foreign(tag) => {
                return fault(format!("the tag {tag} needs other templates, and there are none"));
            }
        }
        Ok(Flow::Next)
    }

    /// What a body writes, as a value.
    fn block(&mut self, body: &[Stmt], scope: &Rc<Scope>) -> Result<Value> {
        let mut out = Vec::new();
        self.statements(body, &scope.inside(), &mut out)?;
        Ok(Value::Str(Text::from(out).marked(self.autoescape)))
    }

    /// Filters, the first of which gets `input`.
    fn filtered(&mut self, filter: &Expr, input: Value, scope: &Rc<Scope>) -> Result<Value> {
        let Expr::Filter(inner, name, args) = filter else { return self.eval(filter, scope) };
        let input = match inner {
            Some(inner) => self.filtered(inner, input, scope)?,
            None => input,
        };
        let args = self.args(args, scope)?;
        filters::apply(self, name, &input, &args)
    }

    pub(super) fn for_loop(
        &mut self,
        body: &Rc<For>,
        items: &Value,
        scope: &Rc<Scope>,
        depth0: usize,
        out: &mut Vec<Char>,
    ) -> Result<()> {
        let mut items = items.items()?;
        self.spend(items.len())?;
        if let Some(test) = &body.test {
            let mut kept = Vec::new();
            for item in items {
                let inner = scope.inside();
                assign(&body.target, item.clone(), &inner)?;
                if self.eval(test, &inner)?.truth() {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            self.statements(&body.otherwise, &scope.inside(), out)?;
            return Ok(());
        }
        let again = body.recursive.then(|| (body.clone(), scope.clone()));
        let state = LoopState { items: Rc::new(items.clone()), index0: 0, depth0, last: None, again };
        let state = Rc::new(Object::Loop(RefCell::new(state)));
        let name: Rc<str> = "loop".into();
        for (index, item) in items.into_iter().enumerate() {
            if let Object::Loop(state) = &*state {
                state.borrow_mut().index0 = index;
            }
            let inner = scope.inside();
            inner.set(&name, Value::Object(state.clone()));
            assign(&body.target, item, &inner)?;
            if self.statements(&body.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn args(&mut self, args: &Args, scope: &Rc<Scope>) -> Result<Call> {
        let mut call = Call::default();
        for arg in &args.positional {
            call.positional.push(self.eval(arg, scope)?);
        }
        for (name, arg) in &args.named {
            call.named.push((name.clone(), self.eval(arg, scope)?));
        }
        if let Some(rest) = &args.rest {
            call.positional.extend(self.eval(rest, scope)?.items()?);
        }
        if let Some(rest) = &args.named_rest {
            let Value::Dict(rest) = self.eval(rest, scope)? else {
                return fault("argument after ** must be a mapping");
            };
            for (name, value) in rest.values() {
                call.named.push((super::call::text(name)?.to_string().into(), value.clone()));
            }
        }
        Ok(call)
    }

    pub(super) fn eval(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        self.spend(1)?;
        Ok(match expr {
            Expr::Const(value) => value.clone(),
            Expr::Name(name) => match scope.get(name) {
                Some(value) => value,
                None if functions::is_known(name) => Value::object(Object::Function(functions::known(name))),
                None => Value::undefined(format!("'{name}' is undefined")),
            },
            Expr::List(items) => Value::list(self.all(items, scope)?),
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?),
            Expr::Dict(pairs) => {
                let mut dict = Dict::new();
                for (key, value) in pairs {
                    let key = self.eval(key, scope)?;
                    put(&mut dict, key, self.eval(value, scope)?)?;
                }
                Value::Dict(Rc::new(dict))
            }
            Expr::Cond(both, otherwise) => match (self.eval(&both[0], scope)?.truth(), otherwise) {
                (true, _) => self.eval(&both[1], scope)?,
                (false, Some(otherwise)) => self.eval(otherwise, scope)?,
                (false, None) => Value::undefined(
                    "the inline if-expression evaluated to false and no else section was defined.",
                ),
            },
            Expr::And(both) => {
                let left = self.eval(&both[0], scope)?;
                if left.truth() { self.eval(&both[1], scope)? } else { left }
            }
            Expr::Or(both) => {
                let left = self.eval(&both[0], scope)?;
                if left.truth() { left } else { self.eval(&both[1], scope)? }
            }
            Expr::Not(inner) => Value::Bool(!self.eval(inner, scope)?.truth()),
            Expr::Neg(inner) => ops::negate(&self.eval(inner, scope)?)?,
            Expr::Pos(inner) => ops::positive(&self.eval(inner, scope)?)?,
            Expr::Binary(op, both) => {
                let (left, right) = (self.eval(&both[0], scope)?, self.eval(&both[1], scope)?);
                self.binary(*op, &left, &right)?
            }
            Expr::Concat(items) => {
                let items = self.all(items, scope)?;
                let safe =
                    self.autoescape && items.iter().any(|item| matches!(item, Value::Str(text) if text.safe));
                let mut out = Vec::new();
                for item in items {
                    let text = item.str()?;
                    out.extend_from_slice(if safe { text.escaped() } else { text }.chars());
                }
                self.spend(out.len() / 16)?;
                Value::Str(Text::from(out).marked(safe))
            }
            Expr::Compare(first, rest) => {
                let mut left = self.eval(first, scope)?;
                for (op, right) in rest {
                    let right = self.eval(right, scope)?;
                    if !ops::compare(*op, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expr::Attr(inner, name) => ops::attribute(&self.eval(inner, scope)?, name)?,
            Expr::Item(both) => {
                let (value, index) = (self.eval(&both[0], scope)?, self.eval(&both[1], scope)?);
                ops::item(&value, &index)?
            }
            Expr::Slice(inner, parts) => {
                let value = self.eval(inner, scope)?;
                let mut bounds = [Value::None, Value::None, Value::None];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    if let Some(part) = part {
                        *bound = self.eval(part, scope)?;
                    }
                }
                self.spend(value.len().unwrap_or(0) / 16)?;
                ops::slice(&value, &bounds)?
            }
            Expr::Call(callee, args) => {
                let callee = self.eval(callee, scope)?;
                let args = self.args(args, scope)?;
                self.call(&callee, args)?
            }
            Expr::Filter(inner, name, args) => {
                let Some(inner) = inner else { return fault("a filter without a value") };
                let value = self.eval(inner, scope)?;
                let args = self.args(args, scope)?;
                filters::apply(self, name, &value, &args)?
            }
            Expr::Test(inner, name, args) => {
                let value = self.eval(inner, scope)?;
                let args = self.args(args, scope)?;
                Value::Bool(tests::apply(name, &value, &args)?)
            }
        })
    }

    fn all(&mut self, items: &[Expr], scope: &Rc<Scope>) -> Result<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    fn binary(&mut self, op: Op, left: &Value, right: &Value) -> Result<Value> {
        let value = ops::binary(op, left, right)?;
        self.spend(value.len().unwrap_or(0) / 16)?;
        Ok(value)
    }

    /// Calls whatever can be called.
    pub(super) fn call(&mut self, callee: &Value, call: Call) -> Result<Value> {
        let object = match callee {
            Value::Object(object) => object.clone(),
            Value::Undefined(words) => return fault(words.to_string()),
            other => return fault(format!("'{}' object is not callable", other.type_name())),
        };
        self.depth += 1;
        if self.depth > DEEPEST {
            return fault("maximum recursion depth exceeded");
        }
        let result = match &*object {
            Object::Macro(body, scope) => self.call_macro(body, scope, call),
            Object::Function(name) => functions::call(self, name, &call),
            Object::Method(receiver, name) => methods::call(self, receiver, name, &call),
            Object::Joiner(separator, used) => {
                if used.replace(true) {
                    Ok(separator.clone())
                } else {
                    Ok(Value::from(""))
                }
            }
            Object::Loop(state) => {
                let (again, depth0) = {
                    let state = state.borrow();
                    (state.again.clone(), state.depth0)
                };
                match (again, call.positional.as_slice()) {
                    (Some((body, scope)), [items]) => {
                        let mut out = Vec::new();
                        self.for_loop(&body, items, &scope, depth0 + 1, &mut out)?;
                        Ok(Value::Str(Text::from(out).marked(self.autoescape)))
                    }
                    (None, _) => fault("The loop must have the 'recursive' marker to be called recursively."),
                    _ => fault("loop() takes one argument"),
                }
            }
            _ => fault(format!("'{}' object is not callable", callee.type_name())),
        };
        self.depth -= 1;
        let value = result?;
        self.spend(value.len().unwrap_or(0) / 16)?;
        Ok(value)
    }

    fn call_macro(&mut self, body: &Macro, scope: &Rc<Scope>, call: Call) -> Result<Value> {
        let inner = scope.inside();
        let Call { positional, mut named } = call;
        let takes = body.params.len();
        if positional.len() > takes && !body.varargs {
            return fault(format!("macro '{}' takes not more than {takes} argument(s)", body.name));
        }
        let mut values = positional.into_iter();
        for (index, param) in body.params.iter().enumerate() {
            let by_name = named.iter().position(|(name, _)| name == param);
            let value = match (values.next(), by_name) {
                (Some(_), Some(_)) => {
                    return fault(format!("macro '{}' got two values for '{param}'", body.name));
                }
                (Some(value), None) => value,
                (None, Some(at)) => named.remove(at).1,
                (None, None) => match (index + body.defaults.len()).checked_sub(takes) {
                    Some(default) => self.eval(&body.defaults[default], &inner)?,
                    None => Value::undefined(format!("parameter '{param}' was not provided")),
                },
            };
            inner.set(param, value);
        }
        let caller = named.iter().position(|(name, _)| &**name == "caller").filter(|_| body.caller);
        if body.caller && !body.params.iter().any(|param| &**param == "caller") {
            let caller =
                caller.map_or_else(|| Value::undefined("No caller defined"), |at| named.remove(at).1);
            inner.set(&"caller".into(), caller);
        }
        if body.varargs {
            inner.set(&"varargs".into(), Value::tuple(values.collect()));
        }
        if body.kwargs {
            let mut kwargs = Dict::new();
            for (name, value) in named {
                put(&mut kwargs, Value::from(&*name), value)?;
            }
            inner.set(&"kwargs".into(), Value::Dict(Rc::new(kwargs)));
        } else if let Some((name, _)) = named.first() {
            return fault(format!("macro '{}' takes no keyword argument '{name}'", body.name));
        }
        let mut out = Vec::new();
        self.statements(&body.body, &inner, &mut out)?;
        Ok(Value::Str(Text::from(out).marked(self.autoescape)))
    }
}

fn assign(target: &Target, value: Value, scope: &Rc<Scope>) -> Result<()> {
    match target {
        Target::Name(name) => scope.set(name, value),
        Target::Field(name, field) => {
            let namespace =
                scope.get(name).unwrap_or_else(|| Value::undefined(format!("'{name}' is undefined")));
            let Value::Object(object) = &namespace else {
                return fault("cannot assign attribute on non-namespace object");
            };
            let Object::Namespace(fields) = &**object else {
                return fault("cannot assign attribute on non-namespace object");
            };
            functions::check_field(field)?;
            put(&mut fields.borrow_mut(), Value::from(&**field), value)?;
        }
        Target::Tuple(targets) => {
            let items = value.items()?;
            if items.len() != targets.len() {
                let (expected, got) = (targets.len(), items.len());
                return fault(format!("cannot unpack {got} values into {expected}"));
            }
            for (target, item) in targets.iter().zip(items) {
                assign(target, item, scope)?;
            }
        }
    }
    Ok(())
}
