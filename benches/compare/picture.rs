//! The picture of scaling: seconds and memory over rows.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::measure::Cost;

/// What a panel shows of a cost.
type Figure = fn(&Cost) -> f64;

/// The width and height of a panel with its axes, and where in it the axes are.
const SIZE: (f64, f64) = (360.0, 320.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 348.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 276.0;

/// Draws `points` (rows and what they cost) into an SVG at `path`.
pub(crate) fn draw(path: &Path, points: &[(u64, Cost)]) -> io::Result<()> {
    let (width, height) = (2.0 * SIZE.0, SIZE.1);
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let panels: [(&str, Figure); 2] =
        [("seconds, cold build", |cost| cost.wall), ("peak memory, MiB", |cost| cost.peak)];
    for (at, (title, figure)) in panels.into_iter().enumerate() {
        panel(
            &mut svg,
            at as f64 * SIZE.0,
            title,
            &points.iter().map(|(rows, cost)| (*rows as f64, figure(cost))).collect::<Vec<_>>(),
        );
    }
    svg.push_str("</svg>\n");
    fs::write(path, svg)
}

fn panel(svg: &mut String, offset: f64, title: &str, points: &[(f64, f64)]) {
    let most = |figure: fn(&(f64, f64)) -> f64| points.iter().map(figure).fold(f64::MIN_POSITIVE, f64::max);
    let (step_x, step_y) = (step(most(|point| point.0)), step(most(|point| point.1)));
    let (end_x, end_y) = (most(|point| point.0) * 1.05, most(|point| point.1) * 1.15);
    let x = |value: f64| LEFT + value / end_x * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - value / end_y * (BOTTOM - TOP);
    let mut line = |text: String| _ = writeln!(svg, "{text}");
    line(format!("<g transform=\"translate({offset})\">"));
    line(format!(
        "<text x=\"{}\" y=\"22\" text-anchor=\"middle\" font-size=\"14\">{title}</text>",
        (LEFT + RIGHT) / 2.0
    ));
    for tick in (0..).map(|k| f64::from(k) * step_y).take_while(|tick| *tick <= end_y) {
        let y = y(tick);
        line(format!("<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>"));
        line(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", LEFT - 6.0, y + 4.0));
    }
    for tick in (0..).map(|k| f64::from(k) * step_x).take_while(|tick| *tick <= end_x) {
        let (x, thousands) = (x(tick), tick / 1e3);
        line(format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{thousands}k</text>", BOTTOM + 16.0));
    }
    line(format!("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">rows</text>", (LEFT + RIGHT) / 2.0, BOTTOM + 34.0));
    line(format!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"black\"/>"));
    let places: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
    line(format!("<polyline points=\"{}\" fill=\"none\" stroke=\"blue\" stroke-width=\"2\"/>", places.join(" ")));
    for point in points {
        line(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"blue\"/>", x(point.0), y(point.1)));
    }
    line("</g>".to_owned());
}

/// A round step that takes an axis to `most` in four to ten ticks.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    [5.0, 2.0].into_iter().map(|times| power * times).find(|step| most / step >= 4.0).unwrap_or(power)
}
