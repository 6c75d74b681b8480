//! Reads the filter language. Bounded in length, depth and therefore in time; never panics, whatever it is given.

use std::str::FromStr;

use jiff::Timestamp;

use super::{Field, Filter, Operator};
use crate::domain::channel::{Category, Channel};
use crate::domain::reason::{Reason, State};
use crate::domain::rejection::{Rejection, RejectionReason};

/// The longest filter, in characters.
pub(super) const MAX_LENGTH_CHARS: usize = 4096;
/// How deep parentheses may be nested.
pub(super) const MAX_DEPTH: usize = 24;

pub(super) fn parse(text: &str) -> Result<Filter, Rejection> {
    read(text).map_err(|error| {
        let description = match error.position {
            Some(position) => format!("at character {position}: {}", error.expected),
            None => error.expected,
        };
        Rejection::field(RejectionReason::FieldInvalid, "filter", description)
    })
}

fn read(text: &str) -> Result<Filter, SyntaxError> {
    if text.chars().nth(MAX_LENGTH_CHARS).is_some() {
        return Err(SyntaxError {
            position: None,
            expected: format!("a filter has at most {MAX_LENGTH_CHARS} characters"),
        });
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
    };
    if parser.peek() == &TokenKind::End {
        return Ok(Filter::Everything);
    }
    let filter = parser.conjunction(0)?;
    match parser.take() {
        Token {
            kind: TokenKind::End,
            ..
        } => Ok(filter),
        other => Err(other.unexpected("AND, OR or the end")),
    }
}

struct SyntaxError {
    /// In characters, from 1.
    position: Option<usize>,
    expected: String,
}

#[derive(Clone, Debug, PartialEq)]
enum TokenKind {
    Word(String),
    Quoted(String),
    Operator(Operator),
    Open,
    Close,
    End,
}

#[derive(Clone, Debug)]
struct Token {
    kind: TokenKind,
    position: usize,
}

impl Token {
    fn error(&self, expected: impl Into<String>) -> SyntaxError {
        SyntaxError {
            position: Some(self.position),
            expected: expected.into(),
        }
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        let found = match &self.kind {
            TokenKind::Word(word) => format!("{word:?}"),
            TokenKind::Quoted(_) => "a quoted text".to_owned(),
            TokenKind::Operator(_) => "an operator".to_owned(),
            TokenKind::Open => "\"(\"".to_owned(),
            TokenKind::Close => "\")\"".to_owned(),
            TokenKind::End => "the end".to_owned(),
        };
        self.error(format!("expected {expected}, found {found}"))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().zip(1..).peekable();
    while let Some((c, position)) = chars.next() {
        let mut followed_by = |wanted: char| chars.next_if(|(c, _)| *c == wanted).is_some();
        let kind = match c {
            c if c.is_whitespace() => continue,
            '(' => TokenKind::Open,
            ')' => TokenKind::Close,
            '=' => TokenKind::Operator(Operator::Equal),
            '<' if followed_by('=') => TokenKind::Operator(Operator::LessOrEqual),
            '<' => TokenKind::Operator(Operator::Less),
            '>' if followed_by('=') => TokenKind::Operator(Operator::GreaterOrEqual),
            '>' => TokenKind::Operator(Operator::Greater),
            '!' if followed_by('=') => TokenKind::Operator(Operator::NotEqual),
            '!' => {
                return Err(SyntaxError {
                    position: Some(position),
                    expected: "\"!\" is followed by \"=\"".to_owned(),
                });
            }
            '"' | '\'' => TokenKind::Quoted(quoted(c, position, &mut chars)?),
            c => {
                let mut word = String::from(c);
                while let Some((c, _)) = chars.next_if(|(c, _)| belongs_to_word(*c)) {
                    word.push(c);
                }
                TokenKind::Word(word)
            }
        };
        tokens.push(Token { kind, position });
    }
    tokens.push(Token {
        kind: TokenKind::End,
        position: text.chars().count() + 1,
    });
    Ok(tokens)
}

fn belongs_to_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '=' | '<' | '>' | '!' | '"' | '\'')
}

fn quoted(
    quote: char,
    start: usize,
    chars: &mut impl Iterator<Item = (char, usize)>,
) -> Result<String, SyntaxError> {
    let mut text = String::new();
    while let Some((c, position)) = chars.next() {
        match c {
            c if c == quote => return Ok(text),
            '\\' => match chars.next() {
                Some((escaped @ ('\\' | '"' | '\''), _)) => text.push(escaped),
                _ => {
                    return Err(SyntaxError {
                        position: Some(position),
                        expected: "a backslash is followed by a backslash or a quote".to_owned(),
                    });
                }
            },
            c => text.push(c),
        }
    }
    Err(SyntaxError {
        position: Some(start),
        expected: "the quote is not closed".to_owned(),
    })
}

struct Parser {
    /// Ends with [`TokenKind::End`].
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> &TokenKind {
        self.tokens
            .get(self.next)
            .map_or(&TokenKind::End, |token| &token.kind)
    }

    /// The next token; the last one again and again.
    fn take(&mut self) -> Token {
        let token = self.tokens.get(self.next).or(self.tokens.last()).cloned();
        self.next += 1;
        token.unwrap_or(Token {
            kind: TokenKind::End,
            position: 1,
        })
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), TokenKind::Word(word) if word == wanted);
        if found {
            self.next += 1;
        }
        found
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter, SyntaxError> {
        let mut parts = vec![self.disjunction(depth)?];
        while self.take_word("AND") {
            parts.push(self.disjunction(depth)?);
        }
        Ok(balanced(parts, Filter::And))
    }

    fn disjunction(&mut self, depth: usize) -> Result<Filter, SyntaxError> {
        let mut parts = vec![self.term(depth)?];
        while self.take_word("OR") {
            parts.push(self.term(depth)?);
        }
        Ok(balanced(parts, Filter::Or))
    }

    fn term(&mut self, depth: usize) -> Result<Filter, SyntaxError> {
        let token = self.take();
        match &token.kind {
            TokenKind::Open if depth >= MAX_DEPTH => {
                Err(token.error(format!("parentheses are nested at most {MAX_DEPTH} deep")))
            }
            TokenKind::Open => {
                let filter = self.conjunction(depth + 1)?;
                match self.take() {
                    Token {
                        kind: TokenKind::Close,
                        ..
                    } => Ok(filter),
                    other => Err(other.unexpected("AND, OR or \")\"")),
                }
            }
            TokenKind::Word(word) if !is_keyword(word) => self.comparison(word, &token),
            _ => Err(token.unexpected("a field or \"(\"")),
        }
    }

    fn comparison(&mut self, name: &str, at: &Token) -> Result<Filter, SyntaxError> {
        let field = self.field(name, at)?;
        let token = self.take();
        let TokenKind::Operator(operator) = token.kind else {
            return Err(token.unexpected("one of = != < > <= >="));
        };
        let value_at = self.take();
        let value = match &value_at.kind {
            TokenKind::Quoted(text) => text.clone(),
            TokenKind::Word(word) if !is_keyword(word) => word.clone(),
            _ => return Err(value_at.unexpected("a value")),
        };
        let Some(field) = field else {
            return instant(&value)
                .map(|instant| Filter::CreateTime(operator, instant))
                .ok_or_else(|| {
                    value_at.error("create_time is compared with an RFC 3339 time such as \"2026-11-01T00:00:00Z\"")
                });
        };
        let equal = match operator {
            Operator::Equal => true,
            Operator::NotEqual => false,
            _ => {
                return Err(token.error(format!(
                    "{name} takes = and != only; order is for create_time"
                )));
            }
        };
        let value = known_value(&field, value).map_err(|expected| value_at.error(expected))?;
        Ok(Filter::Text {
            field,
            equal,
            value,
        })
    }

    /// The field of this name; `None` is `create_time`.
    fn field(&mut self, name: &str, at: &Token) -> Result<Option<Field>, SyntaxError> {
        Ok(Some(match name {
            "create_time" => return Ok(None),
            "customer_id" => Field::CustomerId,
            "template" => Field::Template,
            "state" => Field::State,
            "state_reason" => Field::StateReason,
            "channel" => Field::Channel,
            "category" => Field::Category,
            "reference" => Field::Reference,
            // A key that is no word is quoted: labels."spring sale".
            "labels." => match self.take() {
                Token {
                    kind: TokenKind::Quoted(key),
                    ..
                } if !key.is_empty() => Field::Label(key),
                other => return Err(other.unexpected("the key of a label")),
            },
            other => match other.strip_prefix("labels.") {
                Some(key) => Field::Label(key.to_owned()),
                None => {
                    return Err(at.error(format!(
                        "{other:?} is not one of customer_id, template, state, state_reason, channel, category, reference, labels.KEY, create_time"
                    )));
                }
            },
        }))
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "AND" | "OR" | "NOT")
}

fn instant(value: &str) -> Option<Timestamp> {
    value.parse().ok()
}

/// The value in its one spelling, where the field has closed words.
fn known_value(field: &Field, value: String) -> Result<String, String> {
    fn known<T: FromStr<Err: ToString> + ToString>(value: &str) -> Result<String, String> {
        value
            .parse::<T>()
            .map(|word| word.to_string())
            .map_err(|error| error.to_string())
    }
    match field {
        Field::State => known::<State>(&value.to_ascii_uppercase()),
        Field::StateReason => known::<Reason>(&value.to_ascii_uppercase()),
        Field::Channel => known::<Channel>(&value.to_ascii_lowercase()),
        Field::Category => known::<Category>(&value.to_ascii_lowercase()),
        Field::CustomerId | Field::Template | Field::Reference | Field::Label(_) => Ok(value),
    }
}

/// Joins parts to a tree that is as flat as can be, so that no long filter makes a deep one.
fn balanced(mut parts: Vec<Filter>, join: fn(Box<Filter>, Box<Filter>) -> Filter) -> Filter {
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => join(Box::new(left), Box::new(right)),
                None => left,
            });
        }
        parts = joined;
    }
    parts.pop().unwrap_or(Filter::Everything)
}

#[cfg(test)]
mod tests;
