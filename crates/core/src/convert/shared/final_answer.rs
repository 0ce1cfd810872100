//! The final answer of a worked solution, as GSM8K marks it.

use std::borrow::Cow;

use crate::row::{Reason, Reject};

/// Returns the number after the last `####`, without its commas.
pub(in crate::convert) fn final_answer(answer: &str) -> Result<Cow<'_, str>, Reject> {
    let Some((_, last)) = answer.rsplit_once("####") else {
        return Err(Reject::new(Reason::NoFinalAnswer, "no `####`"));
    };
    let last = last.trim();
    if !is_number(last) {
        return Err(Reject::new(Reason::NoFinalAnswer, "what follows `####` is not a number"));
    }
    Ok(if last.contains(',') { Cow::Owned(last.replace(',', "")) } else { Cow::Borrowed(last) })
}

/// Whether a text is `-?[\d,]+(\.\d+)?` and its integer part begins with a digit.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, decimals) = match unsigned.split_once('.') {
        Some((integer, decimals)) => (integer, Some(decimals)),
        None => (unsigned, None),
    };
    integer.starts_with(|c: char| c.is_ascii_digit())
        && integer.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
        && decimals.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
