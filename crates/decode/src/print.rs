//! Writes single values of Arrow arrays as text.
//!
//! Values are written as the crate `arrow-cast` writes them. That crate also has all conversions between types; with
//! its dependency `arrow-ord` it would take one seventh of the time to compile datac.

use std::fmt::{Debug, Display, Write as _};

use arrow_array::{
    Array, ArrowPrimitiveType, PrimitiveArray,
    cast::{self, AsArray},
    timezone::Tz,
    types::*,
};
use arrow_schema::{ArrowError, DataType, IntervalUnit, TimeUnit};
use serde::Serialize;

/// Returns the text of a value; empty if the value is null.
pub(super) fn print(array: &dyn Array, i: usize) -> Result<String, ArrowError> {
    let mut out = String::new();
    write(array, i, &mut out)?;
    Ok(out)
}

/// Returns a value of an array of integers; `None` for other arrays.
pub(super) fn integer(array: &dyn Array, i: usize) -> Option<i128> {
    fn of<T: ArrowPrimitiveType<Native: Into<i128>>>(array: &dyn Array, i: usize) -> Option<i128> {
        Some(array.as_primitive::<T>().value(i).into())
    }
    match array.data_type() {
        DataType::Int8 => of::<Int8Type>(array, i),
        DataType::Int16 => of::<Int16Type>(array, i),
        DataType::Int32 => of::<Int32Type>(array, i),
        DataType::Int64 => of::<Int64Type>(array, i),
        DataType::UInt8 => of::<UInt8Type>(array, i),
        DataType::UInt16 => of::<UInt16Type>(array, i),
        DataType::UInt32 => of::<UInt32Type>(array, i),
        DataType::UInt64 => of::<UInt64Type>(array, i),
        _ => None,
    }
}

/// Returns the index of a row's value in a dictionary. The row must not be null.
pub(super) fn dictionary_key(array: &dyn Array, i: usize) -> usize {
    array.slice(i, 1).as_any_dictionary().normalized_keys()[0]
}

fn write(array: &dyn Array, i: usize, out: &mut String) -> Result<(), ArrowError> {
    if array.is_null(i) {
        return Ok(());
    }
    if let Some(number) = integer(array, i) {
        _ = write!(out, "{number}");
        return Ok(());
    }
    match array.data_type() {
        DataType::Null => {}
        DataType::Boolean => _ = write!(out, "{}", array.as_boolean().value(i)),
        DataType::Float16 => _ = write!(out, "{}", array.as_primitive::<Float16Type>().value(i)),
        DataType::Float32 => write_float(array.as_primitive::<Float32Type>().value(i), out),
        DataType::Float64 => write_float(array.as_primitive::<Float64Type>().value(i), out),
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(i)),
        DataType::LargeUtf8 => out.push_str(array.as_string::<i64>().value(i)),
        DataType::Utf8View => out.push_str(array.as_string_view().value(i)),
        DataType::Binary => write_hex(array.as_binary::<i32>().value(i), out),
        DataType::LargeBinary => write_hex(array.as_binary::<i64>().value(i), out),
        DataType::BinaryView => write_hex(array.as_binary_view().value(i), out),
        DataType::FixedSizeBinary(_) => write_hex(array.as_fixed_size_binary().value(i), out),
        DataType::Decimal32(..) => out.push_str(&array.as_primitive::<Decimal32Type>().value_as_string(i)),
        DataType::Decimal64(..) => out.push_str(&array.as_primitive::<Decimal64Type>().value_as_string(i)),
        DataType::Decimal128(..) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(i)),
        DataType::Decimal256(..) => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(i)),
        DataType::Date32 => {
            let dates = array.as_primitive::<Date32Type>();
            write_time(dates.value_as_date(i), dates, i, out)?;
        }
        DataType::Date64 => {
            let dates = array.as_primitive::<Date64Type>();
            write_time(dates.value_as_datetime(i), dates, i, out)?;
        }
        DataType::Time32(TimeUnit::Second) => write_time_of_day::<Time32SecondType>(array, i, out)?,
        DataType::Time32(_) => write_time_of_day::<Time32MillisecondType>(array, i, out)?,
        DataType::Time64(TimeUnit::Microsecond) => write_time_of_day::<Time64MicrosecondType>(array, i, out)?,
        DataType::Time64(_) => write_time_of_day::<Time64NanosecondType>(array, i, out)?,
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref();
            match unit {
                TimeUnit::Second => write_timestamp::<TimestampSecondType>(array, i, zone, out)?,
                TimeUnit::Millisecond => write_timestamp::<TimestampMillisecondType>(array, i, zone, out)?,
                TimeUnit::Microsecond => write_timestamp::<TimestampMicrosecondType>(array, i, zone, out)?,
                TimeUnit::Nanosecond => write_timestamp::<TimestampNanosecondType>(array, i, zone, out)?,
            }
        }
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => write_duration::<DurationSecondType>(array, i, out),
            TimeUnit::Millisecond => write_duration::<DurationMillisecondType>(array, i, out),
            TimeUnit::Microsecond => write_duration::<DurationMicrosecondType>(array, i, out),
            TimeUnit::Nanosecond => write_duration::<DurationNanosecondType>(array, i, out),
        },
        DataType::Interval(unit) => write_interval(array, i, *unit, out),
        DataType::List(_) => write_list(&array.as_list::<i32>().value(i), out)?,
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(i), out)?,
        DataType::ListView(_) => write_list(&array.as_list_view::<i32>().value(i), out)?,
        DataType::LargeListView(_) => write_list(&array.as_list_view::<i64>().value(i), out)?,
        DataType::FixedSizeList(..) => write_list(&array.as_fixed_size_list().value(i), out)?,
        DataType::Struct(fields) => {
            out.push('{');
            for (k, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                _ = write!(out, "{}{}: ", if k > 0 { ", " } else { "" }, field.name());
                write(column, i, out)?;
            }
            out.push('}');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(i);
            out.push('{');
            for k in 0..entries.len() {
                out.push_str(if k > 0 { ", " } else { "" });
                write(entries.column(0), k, out)?;
                out.push_str(": ");
                write(entries.column(1), k, out)?;
            }
            out.push('}');
        }
        DataType::Union(fields, _) => {
            let union = cast::as_union_array(array);
            let id = union.type_id(i);
            let field = fields.iter().find(|(known, _)| *known == id).map(|(_, field)| field.name().as_str());
            _ = write!(out, "{{{}=", field.unwrap_or_default());
            write(union.child(id), union.value_offset(i), out)?;
            out.push('}');
        }
        DataType::Dictionary(..) => write(array.as_any_dictionary().values(), dictionary_key(array, i), out)?,
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => write_run::<Int16Type>(array, i, out)?,
            DataType::Int32 => write_run::<Int32Type>(array, i, out)?,
            _ => write_run::<Int64Type>(array, i, out)?,
        },
        other => return Err(ArrowError::NotYetImplemented(format!("values of type {other}"))),
    }
    Ok(())
}

/// Writes a float as JSON does, but without the plus sign of an exponent; what JSON cannot represent is written as
/// Rust does.
fn write_float<F: Display + Serialize + Into<f64> + Copy>(value: F, out: &mut String) {
    match serde_json::to_string(&value) {
        Ok(text) if value.into().is_finite() => out.push_str(&text.replace("e+", "e")),
        _ => _ = write!(out, "{value}"),
    }
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        _ = write!(out, "{byte:02x}");
    }
}

/// Writes a date or time as ISO 8601, which is chrono's debug format. `None` means that the value is outside the
/// range of the calendar.
fn write_time<T: ArrowPrimitiveType>(
    time: Option<impl Debug>,
    array: &PrimitiveArray<T>,
    i: usize,
    out: &mut String,
) -> Result<(), ArrowError> {
    let Some(time) = time else {
        let (value, data_type) = (array.value(i), array.data_type());
        return Err(ArrowError::CastError(format!("Failed to convert {value:?} to a time of type {data_type}")));
    };
    _ = write!(out, "{time:?}");
    Ok(())
}

fn write_time_of_day<T: ArrowTemporalType>(array: &dyn Array, i: usize, out: &mut String) -> Result<(), ArrowError>
where
    i64: From<T::Native>,
{
    let times = array.as_primitive::<T>();
    write_time(times.value_as_time(i), times, i, out)
}

fn write_timestamp<T: ArrowTemporalType>(
    array: &dyn Array,
    i: usize,
    zone: Option<&str>,
    out: &mut String,
) -> Result<(), ArrowError>
where
    i64: From<T::Native>,
{
    let times = array.as_primitive::<T>();
    let Some(zone) = zone else { return write_time(times.value_as_datetime(i), times, i, out) };
    // The name of a time zone is only for display, and resolving it would need a time zone database. The instant is
    // stored in UTC, and is written in UTC.
    let zone: Tz = if zone.starts_with(['+', '-']) { zone } else { "+00:00" }.parse()?;
    write_time(times.value_as_datetime_with_tz(i, zone).map(|time| time.fixed_offset()), times, i, out)?;
    if let Some(length) = out.strip_suffix("+00:00").map(str::len) {
        out.truncate(length);
        out.push('Z');
    }
    Ok(())
}

fn write_duration<T: ArrowTemporalType>(array: &dyn Array, i: usize, out: &mut String)
where
    i64: From<T::Native>,
{
    match array.as_primitive::<T>().value_as_duration(i) {
        Some(duration) => _ = write!(out, "{duration}"),
        None => out.push_str("<invalid>"),
    }
}

fn write_interval(array: &dyn Array, i: usize, unit: IntervalUnit, out: &mut String) {
    let (months, days, fraction, digits) = match unit {
        IntervalUnit::YearMonth => {
            let months = array.as_primitive::<IntervalYearMonthType>().value(i);
            _ = write!(out, "{} years {} mons", months.div_euclid(12), months.rem_euclid(12));
            return;
        }
        IntervalUnit::DayTime => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(i);
            (0, value.days, i64::from(value.milliseconds), 3)
        }
        IntervalUnit::MonthDayNano => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(i);
            (value.months, value.days, value.nanoseconds, 9)
        }
    };
    let second = 10_i64.pow(digits);
    let (seconds, rest) = (fraction / second, fraction % second);
    let mut parts = Vec::new();
    for (count, name) in
        [(i64::from(months), "mons"), (i64::from(days), "days"), (seconds / 3600, "hours"), (seconds / 60 % 60, "mins")]
    {
        if count != 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    let seconds = seconds % 60;
    if seconds != 0 || rest != 0 {
        let sign = if seconds < 0 || rest < 0 { "-" } else { "" };
        let (seconds, rest, width) = (seconds.abs(), rest.abs(), digits as usize);
        parts.push(format!("{sign}{seconds}.{rest:0width$} secs"));
    }
    out.push_str(&if parts.is_empty() { "0 secs".to_owned() } else { parts.join(" ") });
}

fn write_list(items: &dyn Array, out: &mut String) -> Result<(), ArrowError> {
    out.push('[');
    for k in 0..items.len() {
        out.push_str(if k > 0 { ", " } else { "" });
        write(items, k, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_run<T: RunEndIndexType>(array: &dyn Array, i: usize, out: &mut String) -> Result<(), ArrowError> {
    let runs = array.as_run::<T>();
    write(runs.values(), runs.get_physical_index(i), out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::*;
    use arrow_schema::{Field, UnionFields};

    use super::*;

    #[test]
    fn values_are_spelled_as_arrow_cast_spells_them() {
        type Wide = <Decimal256Type as ArrowPrimitiveType>::Native;
        let day_times =
            [(0, 0), (1, -1), (0, 3_661_001), (-2, 59_000)].map(|(days, ms)| IntervalDayTime::new(days, ms));
        let nanos = [(0, 0, 0), (14, -3, 1), (0, 0, -3_600_000_000_001), (-1, 1, 90_000_000_000)];
        let nanos = nanos.map(|(months, days, ns)| IntervalMonthDayNano::new(months, days, ns));
        let (numbers, words) = (Int64Array::from(vec![Some(7), None]), StringArray::from(vec!["a, b", "ä"]));
        let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), true);
        let (number, word) = (field("number", &DataType::Int64), field("word", &DataType::Utf8));
        let pair = StructArray::from(vec![
            (Arc::new(number.clone()), Arc::new(numbers.clone()) as ArrayRef),
            (Arc::new(word.clone()), Arc::new(words.clone()) as ArrayRef),
        ]);
        let list = FixedSizeListArray::new(Arc::new(field("item", pair.data_type())), 1, Arc::new(pair.clone()), None);
        let fields = UnionFields::try_new([2, 5], [number, word]).unwrap();
        let union =
            UnionArray::try_new(fields, vec![5, 2].into(), None, vec![Arc::new(numbers), Arc::new(words)]).unwrap();
        let runs = RunArray::<Int32Type>::try_new(&vec![2, 3].into(), &StringArray::from(vec!["x", "y"])).unwrap();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![0.0, -1.0, 1e16, 123_456.789, 1e-5, 1e-6, 5e-324, f64::NEG_INFINITY])),
            Arc::new(Float32Array::from(vec![0.1, 1e12, 1e13, 1e-6, f32::NAN])),
            Arc::new(Date64Array::from(vec![0, -1, 1_704_067_200_123])),
            Arc::new(Date32Array::from(vec![2_932_897, -719_529])),
            Arc::new(Time32SecondArray::from(vec![0, 86_399])),
            Arc::new(Time32MillisecondArray::from(vec![1, 86_399_999])),
            Arc::new(Time64NanosecondArray::from(vec![1, 3_600_000_000_000])),
            Arc::new(TimestampNanosecondArray::from(vec![-1, 1_500]).with_timezone("-00:30")),
            Arc::new(TimestampNanosecondArray::from(vec![-1, 1_500]).with_timezone("+00:00")),
            Arc::new(DurationMillisecondArray::from(vec![-1_500, 1, i64::MAX, i64::MIN])),
            Arc::new(DurationNanosecondArray::from(vec![1, 86_400_000_000_000])),
            Arc::new(IntervalYearMonthArray::from(vec![0, 13, -1])),
            Arc::new(IntervalDayTimeArray::from(day_times.to_vec())),
            Arc::new(IntervalMonthDayNanoArray::from(nanos.to_vec())),
            Arc::new(Decimal32Array::from(vec![5, -12_345]).with_precision_and_scale(9, 3).unwrap()),
            Arc::new(Decimal64Array::from(vec![0, -7]).with_precision_and_scale(9, -2).unwrap()),
            Arc::new(Decimal256Array::from(vec![Wide::MAX, Wide::ZERO]).with_precision_and_scale(76, 70).unwrap()),
            Arc::new(list),
            Arc::new(pair),
            Arc::new(union),
            Arc::new(runs),
        ];
        // Printed by `arrow_cast::display::ArrayFormatter` 60.1.
        let expected: &[&[&str]] = &[
            &["0.0", "-1.0", "1e16", "123456.789", "0.00001", "1e-6", "5e-324", "-inf"],
            &["0.1", "1000000000000.0", "1e13", "0.000001", "NaN"],
            &["1970-01-01T00:00:00", "1969-12-31T23:59:59.999", "2024-01-01T00:00:00.123"],
            &["+10000-01-01", "-0001-12-31"],
            &["00:00:00", "23:59:59"],
            &["00:00:00.001", "23:59:59.999"],
            &["00:00:00.000000001", "01:00:00"],
            &["1969-12-31T23:29:59.999999999-00:30", "1969-12-31T23:30:00.000001500-00:30"],
            &["1969-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00.000001500Z"],
            &["-PT1.5S", "PT0.001S", "PT9223372036854775.807S", "<invalid>"],
            &["PT0.000000001S", "PT86400S"],
            &["0 years 0 mons", "1 years 1 mons", "-1 years 11 mons"],
            &["0 secs", "1 days -0.001 secs", "1 hours 1 mins 1.001 secs", "-2 days 59.000 secs"],
            &[
                "0 secs",
                "14 mons -3 days 0.000000001 secs",
                "-1 hours -0.000000001 secs",
                "-1 mons 1 days 1 mins 30.000000000 secs",
            ],
            &["0.005", "-12.345"],
            &["0", "-700"],
            &[
                "5789604.4618658097711785492504343953926634992332820282019728792003956564819967",
                "0.0000000000000000000000000000000000000000000000000000000000000000000000",
            ],
            &["[{number: 7, word: a, b}]", "[{number: , word: ä}]"],
            &["{number: 7, word: a, b}", "{number: , word: ä}"],
            &["{word=a, b}", "{number=}"],
            &["x", "x", "y"],
        ];
        assert_eq!(arrays.len(), expected.len());
        for (array, expected) in arrays.iter().zip(expected) {
            let printed: Vec<String> = (0..array.len()).map(|i| print(array, i).unwrap()).collect();
            assert_eq!(printed, *expected, "{}", array.data_type());
        }
    }

    #[test]
    fn what_no_calendar_has_is_an_error() {
        for array in [
            Arc::new(TimestampSecondArray::from(vec![i64::MAX])) as ArrayRef,
            Arc::new(Date64Array::from(vec![i64::MIN])),
            Arc::new(Time32SecondArray::from(vec![-1])),
            Arc::new(Time64MicrosecondArray::from(vec![86_400_000_000])),
            Arc::new(TimestampSecondArray::from(vec![0]).with_timezone("+nonsense")),
        ] {
            assert!(print(&array, 0).is_err(), "{}", array.data_type());
        }
    }
}
