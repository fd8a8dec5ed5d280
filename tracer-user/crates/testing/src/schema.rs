//! Checks JSON against docs/gostuck-1.schema.json, and strictly: a field that the schema does not
//! name is an error, too, so that the schema stays complete.
//!
//! Only the keywords that our schema uses are known; any other stops the check.

use serde_json::{Map, Value};

/// Returns everything in `document` that the schema does not allow, at most a few of them. `pointer` names
/// the part of the schema that it must follow: none for a whole document, `/$defs/watch_line` for a
/// line of `watch`.
pub fn violations(pointer: &str, document: &Value) -> Vec<String> {
    let schema = include_str!("../../../../docs/gostuck-1.schema.json");
    let schema: Value = match serde_json::from_str(schema) {
        Ok(schema) => schema,
        Err(error) => return vec![format!("the schema is no JSON: {error}")],
    };
    let mut check = Check {
        root: &schema,
        found: Vec::new(),
    };
    match schema.pointer(pointer) {
        Some(part) => check.value(part, document, "$"),
        None => check.complain("$", &format!("the schema has no {pointer}")),
    }
    check.found.truncate(10);
    check.found
}

struct Check<'a> {
    root: &'a Value,
    found: Vec<String>,
}

impl<'a> Check<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let Some(rules) = schema.as_object() else {
            return self.complain(at, "the schema is no object");
        };
        for (keyword, rule) in rules {
            self.keyword(keyword, rule, value, at);
        }
        if let (Some(object), false) = (value.as_object(), rules.contains_key("$ref")) {
            self.unnamed(rules, object, at);
        }
    }

    fn keyword(&mut self, keyword: &str, rule: &'a Value, value: &Value, at: &str) {
        let fails = match keyword {
            "$schema" | "$id" | "$defs" | "title" | "description" | "properties" => false,
            "additionalProperties" => false,
            "$ref" => {
                let target = rule
                    .as_str()
                    .and_then(|r| self.root.pointer(r.strip_prefix('#')?));
                return match target {
                    Some(target) => self.value(target, value, at),
                    None => self.complain(at, &format!("the schema refers to {rule}")),
                };
            }
            "type" => !list(rule).any(|kind| is_of(kind, value)),
            "const" => rule != value,
            "enum" => !list(rule).any(|allowed| allowed == value),
            "minimum" => matches!((value.as_f64(), rule.as_f64()), (Some(v), Some(r)) if v < r),
            "exclusiveMinimum" => {
                matches!((value.as_f64(), rule.as_f64()), (Some(v), Some(r)) if v <= r)
            }
            "pattern" => value.as_str().is_some_and(|text| !matches(rule, text)),
            "required" => {
                let missing = list(rule).filter_map(Value::as_str);
                let object = value.as_object();
                object.is_some_and(|object| {
                    missing.into_iter().any(|name| !object.contains_key(name))
                })
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.value(rule, item, &format!("{at}[{index}]"));
                }
                false
            }
            "anyOf" => !list(rule).any(|alternative| self.allows(alternative, value)),
            "allOf" => false,
            unknown => return self.complain(at, &format!("keyword {unknown} is not known here")),
        };
        if fails {
            self.complain(at, &format!("{value} breaks {keyword} {rule}"));
        }
    }

    /// Checks the fields of an object, and finds those that the schema does not name.
    fn unnamed(&mut self, rules: &'a Map<String, Value>, object: &Map<String, Value>, at: &str) {
        if rules.contains_key("anyOf") {
            return;
        }
        let mut named: Vec<(&String, &'a Value)> = Vec::new();
        let parts = rules.get("allOf").into_iter().flat_map(list);
        let parts = parts.filter_map(|part| self.resolve(part)?.get("properties"));
        for part in parts.chain(rules.get("properties")) {
            named.extend(part.as_object().into_iter().flatten());
        }
        let open = named.is_empty();
        for (name, value) in object {
            match named.iter().find(|(known, _)| *known == name) {
                Some((_, schema)) => self.value(schema, value, &format!("{at}.{name}")),
                None if open || rules.contains_key("additionalProperties") => {}
                None => self.complain(at, &format!("the schema does not name `{name}`")),
            }
        }
    }

    fn resolve(&self, schema: &'a Value) -> Option<&'a Value> {
        let reference = schema.get("$ref").and_then(Value::as_str);
        match reference {
            Some(reference) => self.root.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    fn allows(&self, schema: &'a Value, value: &Value) -> bool {
        let mut check = Check {
            root: self.root,
            found: Vec::new(),
        };
        check.value(schema, value, "");
        check.found.is_empty()
    }

    fn complain(&mut self, at: &str, what: &str) {
        self.found.push(format!("{at}: {what}"));
    }
}

/// The elements of an array, or the value alone.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(values) => values.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    pattern
        .as_str()
        .and_then(|pattern| regex::Regex::new(pattern).ok())
        .is_some_and(|pattern| pattern.is_match(text))
}
