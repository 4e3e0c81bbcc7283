//! Tokens to statements and expressions, by the grammar of Jinja 3.1.

use std::rc::Rc;

use super::ast::{Args, Expr, For, Macro, Op, Stmt, StmtKind, Target};
use super::fault::{Error, Fault};
use super::lexer::{Tok, Token, tokens};
use super::value::Value;
use super::{filters, tests};

type Result<T> = std::result::Result<T, Error>;

/// Nesting of expressions and statements: each level takes some stack.
const DEEPEST: usize = 100;

/// Operators and postfixes in a row, such as `a + b + c`: the tree leans to one side and is walked recursively.
const LONGEST: usize = 300;

/// Reads a template.
pub(super) fn parse(source: &str) -> Result<Vec<Stmt>> {
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, soft: false, special: [0; 3], loops: 0 };
    let body = parser.statements(&[])?;
    Ok(body)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Inside a branch that may not be taken: what is unknown there is an error only if it is.
    soft: bool,
    /// How often `varargs`, `kwargs` and `caller` were read.
    special: [usize; 3],
    /// Loops around.
    loops: usize,
}

impl Parser {
    fn tok(&self) -> &Tok {
        self.tokens.get(self.at).map_or(&Tok::Eof, |(tok, _)| tok)
    }

    fn look(&self) -> &Tok {
        self.tokens.get(self.at + 1).map_or(&Tok::Eof, |(tok, _)| tok)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn next(&mut self) -> Tok {
        let tok = self.tok().clone();
        self.at += 1;
        tok
    }

    fn fail<T>(&self, words: impl Into<String>) -> Result<T> {
        Err(Error { fault: Fault::Syntax(words.into()), line: self.line() })
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.tok(), Tok::Sign(other) if *other == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.tok(), Tok::Name(other) if other == name)
    }

    fn skip(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.at += usize::from(is);
        is
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let is = self.is_name(name);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.skip(sign) {
            Ok(())
        } else {
            self.fail(format!("expected '{sign}', got {}", words(self.tok())))
        }
    }

    fn expect_name(&mut self) -> Result<Rc<str>> {
        match self.tok().clone() {
            Tok::Name(name) => {
                self.at += 1;
                Ok(name.into())
            }
            other => self.fail(format!("expected a name, got {}", words(&other))),
        }
    }

    fn expect_block_end(&mut self) -> Result<()> {
        if *self.tok() != Tok::BlockEnd {
            return self.fail(format!("expected end of statement block, got {}", words(self.tok())));
        }
        self.at += 1;
        Ok(())
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.fail(format!("it is too intricate: at most {DEEPEST} levels"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Statements up to a tag of one of these names, which stays; up to the end where there are none.
    fn statements(&mut self, ends: &[&str]) -> Result<Vec<Stmt>> {
        self.deeper(|parser| {
            let mut body = Vec::new();
            loop {
                let line = parser.line();
                let kind = match parser.next() {
                    Tok::Data(text) => StmtKind::Data(text.into()),
                    Tok::PrintBegin => {
                        let expr = parser.tuple()?;
                        if *parser.tok() != Tok::PrintEnd {
                            let got = words(parser.tok());
                            return parser.fail(format!("expected end of print statement, got {got}"));
                        }
                        parser.at += 1;
                        StmtKind::Print(expr)
                    }
                    Tok::BlockBegin => {
                        if matches!(parser.tok(), Tok::Name(name) if ends.contains(&name.as_str())) {
                            return Ok(body);
                        }
                        parser.statement(&mut body)?
                    }
                    Tok::Eof if ends.is_empty() => return Ok(body),
                    Tok::Eof => {
                        return parser
                            .fail(format!("unexpected end of template, expected {}", ends.join(" or ")));
                    }
                    other => return parser.fail(format!("unexpected {}", words(&other))),
                };
                body.push(Stmt { line, kind });
            }
        })
    }

    /// The body of a tag, and its end tag's name.
    fn body(&mut self, ends: &[&str]) -> Result<(Vec<Stmt>, String)> {
        self.skip(":");
        self.expect_block_end()?;
        let body = self.statements(ends)?;
        let Tok::Name(end) = self.next() else { return self.fail("expected a tag") };
        Ok((body, end))
    }

    /// A body whose end tag has nothing but its name.
    fn whole_body(&mut self, end: &str) -> Result<Vec<Stmt>> {
        let (body, _) = self.body(&[end])?;
        self.expect_block_end()?;
        Ok(body)
    }

    /// A body in which what is unknown is an error at once, or only when it is reached.
    fn scoped<T>(&mut self, soft: bool, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.soft, soft);
        let result = read(self);
        self.soft = before;
        result
    }

    fn statement(&mut self, before: &mut Vec<Stmt>) -> Result<StmtKind> {
        let line = self.line();
        let name = self.expect_name()?;
        let kind = match &*name {
            "for" => return self.for_loop(),
            "if" => return self.if_chain(),
            "macro" => return self.macro_definition(),
            "call" => return self.call_block(),
            "set" => return self.set(),
            "with" => return self.with(),
            "generation" => {
                return Ok(StmtKind::Generation(self.scoped(false, |p| p.whole_body("endgeneration"))?));
            }
            "filter" => {
                let filter = self.filters(None, true)?;
                return Ok(StmtKind::FilterBlock(filter, self.scoped(false, |p| p.whole_body("endfilter"))?));
            }
            "autoescape" => {
                let on = self.expression()?;
                return Ok(StmtKind::Autoescape(on, self.scoped(false, |p| p.whole_body("endautoescape"))?));
            }
            "block" => return self.block(),
            "print" => {
                // All but the last are statements of their own.
                let mut last = self.expression()?;
                while self.skip(",") {
                    before.push(Stmt { line, kind: StmtKind::Print(last) });
                    last = self.expression()?;
                }
                StmtKind::Print(last)
            }
            "break" | "continue" if self.loops == 0 => {
                return self.fail(format!("'{name}' outside of a loop"));
            }
            "break" => StmtKind::Break,
            "continue" => StmtKind::Continue,
            "include" | "import" | "extends" | "from" => {
                while !matches!(self.tok(), Tok::BlockEnd | Tok::Eof) {
                    self.at += 1;
                }
                StmtKind::Foreign(name)
            }
            other => return self.fail(format!("Encountered unknown tag '{other}'")),
        };
        self.expect_block_end()?;
        Ok(kind)
    }

    fn for_loop(&mut self) -> Result<StmtKind> {
        let target = self.targets("in")?;
        if !self.skip_name("in") {
            return self.fail("expected 'in'");
        }
        let items = self.tuple_of(false, Some("recursive"), false)?;
        let test = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        self.loops += 1;
        let (body, end) = self.scoped(false, |p| p.body(&["endfor", "else"]))?;
        self.loops -= 1;
        let otherwise = match end.as_str() {
            "else" => self.scoped(false, |p| p.body(&["endfor"]))?.0,
            _ => Vec::new(),
        };
        self.expect_block_end()?;
        Ok(StmtKind::For(Rc::new(For { target, items, test, body, otherwise, recursive })))
    }

    fn if_chain(&mut self) -> Result<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple_of(false, None, false)?;
            let (body, end) = self.scoped(true, |p| p.body(&["elif", "else", "endif"]))?;
            branches.push((test, body));
            match end.as_str() {
                "elif" => {}
                "else" => {
                    let otherwise = self.scoped(true, |p| p.whole_body("endif"))?;
                    return Ok(StmtKind::If(branches, otherwise));
                }
                _ => {
                    self.expect_block_end()?;
                    return Ok(StmtKind::If(branches, Vec::new()));
                }
            }
        }
    }

    fn set(&mut self) -> Result<StmtKind> {
        let target = self.targets("")?;
        if self.skip("=") {
            let value = self.tuple()?;
            self.expect_block_end()?;
            return Ok(StmtKind::Set(target, value));
        }
        let filter = if self.is("|") { Some(self.filters(None, false)?) } else { None };
        let body = self.scoped(false, |p| p.whole_body("endset"))?;
        Ok(StmtKind::SetBlock(target, filter, body))
    }

    fn with(&mut self) -> Result<StmtKind> {
        let mut values = Vec::new();
        while *self.tok() != Tok::BlockEnd {
            if !values.is_empty() {
                self.expect(",")?;
            }
            let target = self.targets("")?;
            self.expect("=")?;
            values.push((target, self.expression()?));
        }
        Ok(StmtKind::With(values, self.scoped(false, |p| p.whole_body("endwith"))?))
    }

    fn block(&mut self) -> Result<StmtKind> {
        let name = self.expect_name()?;
        self.skip_name("scoped");
        if self.skip_name("required") {
            return self.fail("required blocks need other templates");
        }
        let (body, _) = self.scoped(false, |p| p.body(&["endblock"]))?;
        self.skip_name(&name);
        self.expect_block_end()?;
        Ok(StmtKind::Block(body))
    }

    fn macro_definition(&mut self) -> Result<StmtKind> {
        let name = self.expect_name()?;
        let (params, defaults) = self.signature()?;
        self.macro_body(name, params, defaults, "endmacro").map(|body| StmtKind::Macro(Rc::new(body)))
    }

    fn call_block(&mut self) -> Result<StmtKind> {
        let (params, defaults) = if self.is("(") { self.signature()? } else { (Vec::new(), Vec::new()) };
        let call = self.expression()?;
        if !matches!(call, Expr::Call(..)) {
            return self.fail("expected call");
        }
        let body = self.macro_body("".into(), params, defaults, "endcall")?;
        Ok(StmtKind::CallBlock(Rc::new(body), call))
    }

    fn macro_body(
        &mut self,
        name: Rc<str>,
        params: Vec<Rc<str>>,
        defaults: Vec<Expr>,
        end: &str,
    ) -> Result<Macro> {
        let before = self.special;
        let loops = std::mem::take(&mut self.loops);
        let body = self.scoped(false, |p| p.whole_body(end))?;
        self.loops = loops;
        let [varargs, kwargs, caller] = std::array::from_fn(|which| self.special[which] > before[which]);
        Ok(Macro { name, params, defaults, body, varargs, kwargs, caller })
    }

    fn signature(&mut self) -> Result<(Vec<Rc<str>>, Vec<Expr>)> {
        let (mut params, mut defaults) = (Vec::new(), Vec::new());
        self.expect("(")?;
        while !self.is(")") {
            if !params.is_empty() {
                self.expect(",")?;
            }
            params.push(self.expect_name()?);
            if self.skip("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return self.fail("non-default argument follows default argument");
            }
        }
        self.expect(")")?;
        Ok((params, defaults))
    }

    /// One target or several with commas between, up to the word `end`.
    fn targets(&mut self, end: &str) -> Result<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        loop {
            if matches!(self.tok(), Tok::BlockEnd | Tok::Sign(")")) || self.is_name(end) {
                break;
            }
            targets.push(self.target()?);
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        match (is_tuple, targets.pop()) {
            (false, Some(one)) => Ok(one),
            (true, Some(last)) => {
                targets.push(last);
                Ok(Target::Tuple(targets))
            }
            _ => self.fail("expected a name"),
        }
    }

    fn target(&mut self) -> Result<Target> {
        if self.skip("(") {
            let inner = self.deeper(|parser| parser.targets(""))?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.expect_name()?;
        if matches!(&*name, "true" | "false" | "none" | "True" | "False" | "None") {
            return self.fail(format!("can't assign to '{name}'"));
        }
        if self.skip(".") {
            return Ok(Target::Field(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }

    fn tuple(&mut self) -> Result<Expr> {
        self.tuple_of(true, None, false)
    }

    /// An expression, or several with commas between.
    fn tuple_of(&mut self, with_condition: bool, end: Option<&str>, in_brackets: bool) -> Result<Expr> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends = matches!(self.tok(), Tok::PrintEnd | Tok::BlockEnd | Tok::Sign(")"));
            if ends || end.is_some_and(|end| self.is_name(end)) {
                break;
            }
            items.push(if with_condition { self.expression()? } else { self.deeper(Self::or)? });
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        match (is_tuple, items.pop()) {
            (false, Some(one)) => Ok(one),
            (false, None) if !in_brackets => {
                self.fail(format!("Expected an expression, got {}", words(self.tok())))
            }
            (_, last) => {
                items.extend(last);
                Ok(Expr::Tuple(items))
            }
        }
    }

    fn expression(&mut self) -> Result<Expr> {
        self.deeper(|parser| {
            let mut value = parser.or()?;
            let mut count = 0;
            while parser.skip_name("if") {
                parser.count(&mut count)?;
                let test = parser.scoped(true, Self::or)?;
                let otherwise = if parser.skip_name("else") {
                    Some(Box::new(parser.scoped(true, Self::expression)?))
                } else {
                    None
                };
                value = Expr::Cond(Box::new([test, value]), otherwise);
            }
            Ok(value)
        })
    }

    fn count(&self, count: &mut usize) -> Result<()> {
        *count += 1;
        if *count > LONGEST {
            self.fail(format!("it is too intricate: at most {LONGEST} operators in a row"))
        } else {
            Ok(())
        }
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        let mut count = 0;
        while self.skip_name("or") {
            self.count(&mut count)?;
            left = Expr::Or(Box::new([left, self.and()?]));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        let mut count = 0;
        while self.skip_name("and") {
            self.count(&mut count)?;
            left = Expr::And(Box::new([left, self.not()?]));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::not)?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let op = match self.tok() {
                Tok::Sign("==") => Op::Eq,
                Tok::Sign("!=") => Op::Ne,
                Tok::Sign("<") => Op::Lt,
                Tok::Sign("<=") => Op::Le,
                Tok::Sign(">") => Op::Gt,
                Tok::Sign(">=") => Op::Ge,
                Tok::Name(name) if name == "in" => Op::In,
                Tok::Name(name) if name == "not" && *self.look() == Tok::Name("in".to_owned()) => {
                    self.at += 1;
                    Op::NotIn
                }
                _ => break,
            };
            self.at += 1;
            rest.push((op, self.sum()?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    /// Operators of one rank, from the left.
    fn chain(&mut self, ops: &[(&str, Op)], inner: impl Fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let mut left = inner(self)?;
        let mut count = 0;
        while let Some((_, op)) = ops.iter().find(|(sign, _)| self.is(sign)) {
            self.count(&mut count)?;
            self.at += 1;
            left = Expr::Binary(*op, Box::new([left, inner(self)?]));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.chain(&[("+", Op::Add), ("-", Op::Sub)], Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is("~") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip("~") {
            items.push(self.product()?);
        }
        Ok(Expr::Concat(items))
    }

    fn product(&mut self) -> Result<Expr> {
        let ops = [("*", Op::Mul), ("/", Op::Div), ("//", Op::FloorDiv), ("%", Op::Mod)];
        self.chain(&ops, |parser| parser.chain(&[("**", Op::Pow)], |parser| parser.unary(true)))
    }

    fn unary(&mut self, with_filter: bool) -> Result<Expr> {
        let operand = if self.skip("-") {
            Expr::Neg(Box::new(self.deeper(|parser| parser.unary(false))?))
        } else if self.skip("+") {
            Expr::Pos(Box::new(self.deeper(|parser| parser.unary(false))?))
        } else {
            self.primary()?
        };
        let operand = self.postfix(operand)?;
        if with_filter { self.filters_and_tests(operand) } else { Ok(operand) }
    }

    fn primary(&mut self) -> Result<Expr> {
        Ok(match self.next() {
            Tok::Name(name) => match name.as_str() {
                "true" | "True" => Expr::Const(Value::Bool(true)),
                "false" | "False" => Expr::Const(Value::Bool(false)),
                "none" | "None" => Expr::Const(Value::None),
                _ => {
                    if let Some(which) =
                        ["varargs", "kwargs", "caller"].iter().position(|other| *other == name)
                    {
                        self.special[which] += 1;
                    }
                    Expr::Name(name.into())
                }
            },
            Tok::Str(mut text) => {
                while let Tok::Str(more) = self.tok() {
                    text.push_str(more);
                    self.at += 1;
                }
                Expr::Const(Value::from(text.as_str()))
            }
            Tok::Int(int) => Expr::Const(Value::Int(int)),
            Tok::Float(float) => Expr::Const(Value::Float(float)),
            Tok::Sign("(") => {
                let inner = self.deeper(|parser| parser.tuple_of(true, None, true))?;
                self.expect(")")?;
                inner
            }
            Tok::Sign("[") => {
                let mut items = Vec::new();
                while !self.is("]") {
                    if !items.is_empty() {
                        self.expect(",")?;
                    }
                    if self.is("]") {
                        break;
                    }
                    items.push(self.expression()?);
                }
                self.expect("]")?;
                Expr::List(items)
            }
            Tok::Sign("{") => {
                let mut pairs = Vec::new();
                while !self.is("}") {
                    if !pairs.is_empty() {
                        self.expect(",")?;
                    }
                    if self.is("}") {
                        break;
                    }
                    let key = self.expression()?;
                    self.expect(":")?;
                    pairs.push((key, self.expression()?));
                }
                self.expect("}")?;
                Expr::Dict(pairs)
            }
            other => {
                self.at -= 1;
                return self.fail(format!("unexpected {}", words(&other)));
            }
        })
    }

    fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
        let mut count = 0;
        loop {
            self.count(&mut count)?;
            value = match self.tok() {
                Tok::Sign(".") => {
                    self.at += 1;
                    match self.next() {
                        Tok::Name(name) => Expr::Attr(Box::new(value), name.into()),
                        Tok::Int(index) => Expr::Item(Box::new([value, Expr::Const(Value::Int(index))])),
                        other => return self.fail(format!("expected name or number, got {}", words(&other))),
                    }
                }
                Tok::Sign("[") => {
                    self.at += 1;
                    self.subscript(value)?
                }
                Tok::Sign("(") => Expr::Call(Box::new(value), self.args()?),
                _ => return Ok(value),
            };
        }
    }

    fn subscript(&mut self, value: Expr) -> Result<Expr> {
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        let mut colons = 0;
        while !self.is("]") {
            if self.is(":") && colons < 2 {
                self.at += 1;
                colons += 1;
            } else if let Some(slot @ None) = parts.get_mut(colons) {
                *slot = Some(self.expression()?);
            } else if colons == 0 && self.is(",") {
                let Some(first) = parts[0].take() else { return self.fail("unexpected ','") };
                let mut items = vec![first];
                while self.skip(",") {
                    items.push(self.expression()?);
                }
                parts[0] = Some(Expr::Tuple(items));
            } else {
                return self.fail(format!("unexpected {}", words(self.tok())));
            }
        }
        self.at += 1;
        match (colons, parts) {
            (0, [Some(index), ..]) => Ok(Expr::Item(Box::new([value, index]))),
            (0, _) => self.fail("expected subscript expression"),
            (_, parts) => Ok(Expr::Slice(Box::new(value), Box::new(parts))),
        }
    }

    fn args(&mut self) -> Result<Args> {
        self.expect("(")?;
        let mut args = Args::default();
        let mut is_first = true;
        while !self.is(")") {
            if !is_first {
                self.expect(",")?;
                if self.is(")") {
                    break;
                }
            }
            is_first = false;
            if self.skip("*") {
                if args.rest.is_some() || args.named_rest.is_some() {
                    return self.fail("invalid syntax for function call expression");
                }
                args.rest = Some(Box::new(self.expression()?));
            } else if self.skip("**") {
                args.named_rest = Some(Box::new(self.expression()?));
            } else if let (Tok::Name(name), Tok::Sign("=")) = (self.tok().clone(), self.look()) {
                self.at += 2;
                args.named.push((name.into(), self.expression()?));
            } else if !args.named.is_empty() || args.rest.is_some() || args.named_rest.is_some() {
                return self.fail("invalid syntax for function call expression");
            } else {
                args.positional.push(self.expression()?);
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn filters_and_tests(&mut self, mut value: Expr) -> Result<Expr> {
        let mut count = 0;
        loop {
            self.count(&mut count)?;
            if self.is("|") {
                value = self.filters(Some(value), false)?;
            } else if self.skip_name("is") {
                value = self.test(value)?;
            } else if self.is("(") {
                value = Expr::Call(Box::new(value), self.args()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn dotted_name(&mut self) -> Result<Rc<str>> {
        let mut name = self.expect_name()?.to_string();
        while self.skip(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name.into())
    }

    fn filters(&mut self, mut value: Option<Expr>, mut inline: bool) -> Result<Expr> {
        let mut count = 0;
        while inline || self.is("|") {
            self.count(&mut count)?;
            if !inline {
                self.at += 1;
            }
            inline = false;
            let name = self.dotted_name()?;
            if !filters::is_known(&name) && !self.soft {
                return self.fail(format!("No filter named '{name}'"));
            }
            let args = if self.is("(") { self.args()? } else { Args::default() };
            value = Some(Expr::Filter(value.map(Box::new), name, args));
        }
        match value {
            Some(value) => Ok(value),
            None => self.fail("expected a filter"),
        }
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        if !tests::is_known(&name) && !self.soft {
            return self.fail(format!("No test named '{name}'"));
        }
        let begins_operand = match self.tok() {
            Tok::Name(name) => !matches!(name.as_str(), "else" | "or" | "and"),
            Tok::Str(_) | Tok::Int(_) | Tok::Float(_) | Tok::Sign("[" | "{") => true,
            _ => false,
        };
        let args = if self.is("(") {
            self.args()?
        } else if begins_operand {
            if self.is_name("is") {
                return self.fail("You cannot chain multiple tests with is");
            }
            let operand = self.primary()?;
            Args { positional: vec![self.postfix(operand)?], ..Args::default() }
        } else {
            Args::default()
        };
        let test = Expr::Test(Box::new(value), name, args);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }
}

/// A token for a message.
fn words(tok: &Tok) -> String {
    match tok {
        Tok::Data(_) => "text".to_owned(),
        Tok::PrintBegin => "'{{'".to_owned(),
        Tok::PrintEnd => "end of print statement".to_owned(),
        Tok::BlockBegin => "'{%'".to_owned(),
        Tok::BlockEnd => "end of statement block".to_owned(),
        Tok::Name(name) => format!("'{name}'"),
        Tok::Str(_) => "a string".to_owned(),
        Tok::Int(int) => format!("'{int}'"),
        Tok::Float(float) => format!("'{float}'"),
        Tok::Sign(sign) => format!("'{sign}'"),
        Tok::Eof => "end of template".to_owned(),
    }
}
