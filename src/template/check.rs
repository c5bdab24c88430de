//! What a template's text must satisfy before it is accepted: limits, names, helpers, no raw output.
//!
//! Names are checked against the shape of the data wherever they stand, so that a misspelt one inside `{{#if}}` is found
//! before the night it matters.

use std::collections::HashMap;
use std::sync::LazyLock;

use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Template, TemplateError, TemplateErrorReason};
use serde_json::Value;

use super::form::{Form, TemplateProblem};
use super::helpers::{BLOCKS, HELPERS};
use super::kind::OutputKind;
use super::{digest, sample, say};
use crate::limits::{TEMPLATE_DEPTH_MAX, TEMPLATE_FILE_BYTES_MAX};
use crate::yaml::closest;

static SHAPE: LazyLock<Value> = LazyLock::new(sample::shape);
static GROUP_SHAPE: LazyLock<Value> = LazyLock::new(sample::group_shape);
static DIGEST_SHAPE: LazyLock<Value> = LazyLock::new(digest::shape);

/// Loops inside loops allowed in a template: lists hold tens of items, so deeper ones could run for ages.
const EACH_DEPTH_MAX: usize = 2;

/// The template of a text, or everything that is wrong with it.
pub(super) fn checked(file: &str, text: &str, kind: OutputKind, form: Form) -> Result<Template, Vec<TemplateProblem>> {
    let problem = |(line, column), message| TemplateProblem { file: file.to_string(), line, column, message };
    if text.len() > TEMPLATE_FILE_BYTES_MAX {
        let message = format!("the template is larger than {} KiB", TEMPLATE_FILE_BYTES_MAX >> 10);
        return Err(vec![problem((1, 1), message)]);
    }
    if let Some(at) = too_deep(text) {
        let message = format!("blocks or brackets are nested deeper than {TEMPLATE_DEPTH_MAX}");
        return Err(vec![problem(position(text, at), message)]);
    }
    let template =
        Template::compile(text).map_err(|error| vec![problem(error.pos().unwrap_or((1, 1)), unreadable(&error))])?;
    let shape = match form {
        Form::Alert => &SHAPE,
        Form::Group => &GROUP_SHAPE,
        Form::Digest => &DIGEST_SHAPE,
    };
    let mut walk = Walk { kind, found: Vec::new(), frames: vec![Frame::of(shape)], each_depth: 0 };
    walk.template(&template);
    if walk.found.is_empty() {
        return Ok(template);
    }
    walk.found.sort();
    walk.found.dedup();
    Err(walk.found.into_iter().map(|(line, column, message)| problem((line, column), message)).collect())
}

/// The byte at which nesting passes the limit. Judged on the text, because the parser itself recurses. Comments do not
/// count; brackets inside quotes do, which errs on the safe side.
fn too_deep(text: &str) -> Option<usize> {
    let mut at = 0;
    // For every open block, how many levels it adds: one, and one more for each `{{else if …}}` in it.
    let mut open: Vec<usize> = Vec::new();
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        let inner = text[start..].trim_start_matches('{').trim_start_matches('~').trim_start();
        if inner.starts_with('!') {
            let end = if inner.starts_with("!--") { "--}}" } else { "}}" };
            at = text[start..].find(end).map_or(text.len(), |found| start + found + end.len());
            continue;
        }
        let close = text[start..].find("}}").map_or(text.len(), |found| start + found + 2);
        match inner.chars().next() {
            Some('#') => open.push(1),
            Some('/') => drop(open.pop()),
            _ if text[start..].starts_with("{{{{") => open.push(1),
            _ if inner.starts_with("else") || inner.starts_with('^') => {
                if let Some(levels) = open.last_mut() {
                    *levels += 1;
                }
            }
            _ => {}
        }
        if open.iter().sum::<usize>() > TEMPLATE_DEPTH_MAX || brackets(&text[start..close]) > TEMPLATE_DEPTH_MAX {
            return Some(start);
        }
        at = close;
    }
    None
}

fn brackets(expression: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Why the parser refused, in our words: its own list the rules of its grammar.
fn unreadable(error: &TemplateError) -> String {
    match error.reason() {
        TemplateErrorReason::MismatchingClosedHelper(open, closing)
        | TemplateErrorReason::MismatchingClosedDecorator(open, closing) => {
            format!("{{{{#{open}}}}} is closed by {{{{/{closing}}}}}")
        }
        TemplateErrorReason::InvalidParam(text) => format!("{text:?} is neither a name nor a value"),
        _ => "not readable from here on: a {{…}} that is not closed or not well written, or a block without its \
              {{/…}}"
            .to_string(),
    }
}

/// What names mean inside one block: where plain names start from, and the block's own names.
struct Frame {
    this: &'static Value,
    names: HashMap<String, &'static Value>,
}

impl Frame {
    fn of(this: &'static Value) -> Self {
        Frame { this, names: HashMap::new() }
    }
}

/// The walk over one template. Findings are (line, column, message).
struct Walk {
    kind: OutputKind,
    found: Vec<(usize, usize, String)>,
    frames: Vec<Frame>,
    each_depth: usize,
}

type At = (usize, usize);

impl Walk {
    fn template(&mut self, template: &Template) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = template.mapping.get(index).map_or((1, 1), |mapping| (mapping.0, mapping.1));
            self.element(element, at);
        }
    }

    fn wrong(&mut self, at: At, message: impl Into<String>) {
        self.found.push((at.0, at.1, message.into()));
    }

    fn element(&mut self, element: &TemplateElement, at: At) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::Expression(call) => self.expression(call, at, true),
            TemplateElement::HtmlExpression(call) => {
                if !self.kind.allows_raw() {
                    let message =
                        "unescaped output ({{{…}}} or {{&…}}) could let a job's name become markup: write {{…}}";
                    self.wrong(at, message);
                }
                self.expression(call, at, true);
            }
            TemplateElement::HelperBlock(call) => self.block(call, at),
            TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                self.wrong(at, "decorators ({{*…}}) are not supported");
            }
            TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                self.wrong(at, "partials ({{>…}}) are not supported: every template stands alone");
            }
            _ => self.wrong(at, "this is not supported"),
        }
    }

    /// A value or the call of a helper; `shown` when it is written to the output.
    fn expression(&mut self, call: &HelperTemplate, at: At, shown: bool) {
        let name = match &call.name {
            Parameter::Subexpression(inner) => return self.subexpression(inner.as_element(), at),
            Parameter::Literal(_) => return,
            name => name.as_name().unwrap_or_default().to_string(),
        };
        if BLOCKS.contains(&name.as_str()) {
            return self.wrong(at, format!("{name:?} is a block: write {{{{#{name} …}}}} … {{{{/{name}}}}}"));
        }
        if call.params.is_empty() && call.hash.is_empty() && HELPERS.iter().all(|helper| helper.name != name) {
            let value = self.path(&name, at);
            if shown && value.is_some_and(|value| value.is_object() || value.is_array()) {
                let keys = keys_of(value.unwrap_or(&Value::Null));
                self.wrong(at, format!("{name:?} is not one value but several{keys}"));
            }
            return;
        }
        self.call(&name, call, at);
    }

    fn subexpression(&mut self, element: &TemplateElement, at: At) {
        match element {
            TemplateElement::Expression(call) => self.expression(call, at, false),
            _ => self.wrong(at, "this is not supported inside brackets"),
        }
    }

    fn call(&mut self, name: &str, call: &HelperTemplate, at: At) {
        let works_here = |only: &[OutputKind]| only.is_empty() || only.contains(&self.kind);
        let Some(helper) = HELPERS.iter().find(|helper| helper.name == name) else {
            let near = closest(name, HELPERS.iter().filter(|it| works_here(it.only)).map(|it| it.name).chain(BLOCKS));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            return self.wrong(at, format!("there is no helper {name:?}{hint}"));
        };
        if !works_here(helper.only) {
            let output = if helper.name == "code" { "Slack and other chat" } else { "JSON" };
            self.wrong(at, format!("the helper {name:?} works in {output} templates only"));
        }
        let (least, most) = helper.values;
        if !(least..=most).contains(&call.params.len()) {
            let wants = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.wrong(at, format!("the helper {name:?} takes {wants} values, not {}", call.params.len()));
        }
        if !helper.pairs && !call.hash.is_empty() {
            self.wrong(at, format!("the helper {name:?} takes no key=value pairs"));
        }
        if helper.name == "t" {
            self.phrase(call, at);
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
    }

    /// A call of `t`: its key stands there in quotes, so that a misspelt one is found now.
    fn phrase(&mut self, call: &HelperTemplate, at: At) {
        match call.params.first() {
            Some(Parameter::Literal(Value::String(key))) => {
                let given: Vec<&str> = call.hash.keys().map(String::as_str).collect();
                say::problems(key, &given).into_iter().for_each(|problem| self.wrong(at, problem));
            }
            Some(_) => self.wrong(at, "the helper \"t\" takes the key of a phrase in quotes: {{t \"since\"}}"),
            None => {}
        }
    }

    /// A parameter's shape, where it is a path that is known.
    fn parameter(&mut self, parameter: &Parameter, at: At) -> Option<&'static Value> {
        match parameter {
            Parameter::Literal(_) => None,
            Parameter::Subexpression(inner) => {
                self.subexpression(inner.as_element(), at);
                None
            }
            other => self.path(other.as_name().unwrap_or_default(), at),
        }
    }

    fn block(&mut self, call: &HelperTemplate, at: At) {
        let name = call.name.as_name().unwrap_or_default().to_string();
        if !BLOCKS.contains(&name.as_str()) {
            let near = closest(&name, BLOCKS);
            let hint = near.map_or_else(
                || "; the blocks are if, unless, each and with".to_string(),
                |near| format!("; did you mean {{{{#{near}}}}}?"),
            );
            self.wrong(at, format!("there is no block {{{{#{name}}}}}{hint}"));
            return;
        }
        if call.params.len() != 1 {
            self.wrong(at, format!("{{{{#{name}}}}} takes one value, not {}", call.params.len()));
        }
        let value = call.params.first().and_then(|parameter| self.parameter(parameter, at));
        let frame = match name.as_str() {
            "each" => self.each_frame(call, value, at),
            "with" => value.map(|value| named_frame(call, value, value)),
            _ => None,
        };
        let opens = frame.is_some();
        let loops = usize::from(name == "each");
        self.each_depth += loops;
        if self.each_depth > EACH_DEPTH_MAX {
            self.wrong(at, format!("loops are nested deeper than {EACH_DEPTH_MAX}"));
        }
        self.frames.extend(frame);
        // The inside of a block over something unknown has been reported with the block; walking it would only add noise.
        let unknown = !opens && matches!(name.as_str(), "each" | "with");
        if let Some(inside) = call.template.as_ref().filter(|_| !unknown) {
            self.template(inside);
        }
        if opens {
            self.frames.pop();
        }
        self.each_depth -= loops;
        if let Some(otherwise) = &call.inverse {
            self.template(otherwise);
        }
    }

    fn each_frame(&mut self, call: &HelperTemplate, value: Option<&'static Value>, at: At) -> Option<Frame> {
        match value? {
            Value::Array(items) => {
                let item = items.first()?;
                let mut frame = named_frame(call, item, &ITEM_INDEX);
                for local in ["@index", "@first", "@last"] {
                    frame.names.insert(local.to_string(), &ITEM_INDEX);
                }
                Some(frame)
            }
            _ => {
                self.wrong(at, "{{#each}} wants a list, such as data.failing_nodes");
                None
            }
        }
    }

    /// The shape of the value that a path names; unknown paths are reported.
    fn path(&mut self, raw: &str, at: At) -> Option<&'static Value> {
        match self.resolved(raw) {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong(at, message);
                None
            }
        }
    }

    fn resolved(&self, raw: &str) -> Result<&'static Value, String> {
        let mut rest = raw;
        let mut frame = self.frames.len() - 1;
        if let Some(from_root) = rest.strip_prefix("@root") {
            frame = 0;
            rest = from_root.trim_start_matches(['.', '/']);
        } else if rest.starts_with('@') {
            let known = self.frames.iter().rev().find_map(|frame| frame.names.get(rest));
            return known.copied().ok_or_else(|| format!("{raw:?} is known inside {{{{#each}}}} only"));
        }
        rest = rest.strip_prefix("./").unwrap_or(rest);
        while let Some(up) = rest.strip_prefix("..") {
            frame = frame.checked_sub(1).ok_or_else(|| format!("{raw:?} leads out of the data"))?;
            rest = up.trim_start_matches(['.', '/']);
        }
        let mut segments = rest.split(['.', '/']).map(|it| it.trim_start_matches('[').trim_end_matches(']')).peekable();
        let mut value = self.frames[frame].this;
        let named = segments.peek().and_then(|first| self.frames.iter().rev().find_map(|it| it.names.get(*first)));
        if let Some(named) = named.filter(|_| !raw.starts_with(['@', '.'])) {
            value = named;
            segments.next();
        }
        for segment in segments.filter(|segment| !segment.is_empty() && *segment != "this") {
            value = inside(value, segment).ok_or_else(|| unknown(raw, segment, value))?;
        }
        Ok(value)
    }
}

/// The shape of `@index` and the like: one value that is no group.
static ITEM_INDEX: Value = Value::Bool(true);

/// A frame for the inside of a block, with the names of its `as |item key|`.
fn named_frame(call: &HelperTemplate, this: &'static Value, key: &'static Value) -> Frame {
    let mut frame = Frame::of(this);
    let names = match &call.block_param {
        Some(BlockParam::Single(item)) => vec![(item, this)],
        Some(BlockParam::Pair((item, index))) => vec![(item, this), (index, key)],
        _ => Vec::new(),
    };
    frame.names.extend(names.into_iter().filter_map(|(name, value)| Some((name.as_name()?.to_string(), value))));
    frame
}

fn inside(value: &'static Value, segment: &str) -> Option<&'static Value> {
    match value {
        Value::Object(map) => map.get(segment),
        Value::Array(items) => segment.parse::<usize>().ok().and_then(|_| items.first()),
        _ => None,
    }
}

fn unknown(raw: &str, segment: &str, value: &Value) -> String {
    let hint = match value {
        Value::Object(map) => closest(segment, map.keys().map(String::as_str))
            .map_or_else(|| keys_of(value), |near| format!("; did you mean {near:?}?")),
        Value::Array(_) => "; a list is read with {{#each}}".to_string(),
        _ => "; what stands before it is one value".to_string(),
    };
    if raw == segment {
        format!("unknown name {raw:?}{hint}")
    } else {
        format!("unknown name {segment:?} in {raw:?}{hint}")
    }
}

fn keys_of(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
            format!("; the names here are {}", keys.join(", "))
        }
        _ => "; a list is read with {{#each}}".to_string(),
    }
}
