//! The picture of scaling: seconds and memory over rows.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use crate::measure::Cost;

/// What a panel shows of a cost.
type Figure = fn(&Cost) -> f64;

/// Draws `points` (rows and what they cost) into an SVG at `path`.
pub(crate) fn draw(path: &Path, points: &[(u64, Cost)]) -> Result<(), Box<dyn Error>> {
    let most_rows = points.iter().map(|point| point.0).max().unwrap_or(1) as f64;
    let most_time = points.iter().map(|point| point.1.wall).fold(0.0, f64::max);
    let most_memory = points.iter().map(|point| point.1.peak).fold(0.0, f64::max);
    let area = SVGBackend::new(path, (720, 320)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(360);
    let panels: [(_, &str, f64, Figure); 2] = [
        (left, "seconds, cold build", most_time, |cost| cost.wall),
        (right, "peak memory, MiB", most_memory, |cost| cost.peak),
    ];
    for (area, title, most, figure) in panels {
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..most_rows * 1.05, 0.0..most * 1.15)?;
        chart
            .configure_mesh()
            .x_desc("rows")
            .x_label_formatter(&|rows| format!("{:.0}k", rows / 1e3))
            .light_line_style(WHITE)
            .draw()?;
        let series: Vec<(f64, f64)> = points.iter().map(|(rows, cost)| (*rows as f64, figure(cost))).collect();
        chart.draw_series(LineSeries::new(series.iter().copied(), BLUE.stroke_width(2)))?;
        chart.draw_series(series.iter().map(|point| Circle::new(*point, 3, BLUE.filled())))?;
    }
    area.present()?;
    Ok(())
}
