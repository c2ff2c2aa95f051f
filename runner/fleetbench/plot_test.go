package fleetbench

import (
	"fmt"
	"math"
	"strings"
)

// plot is a figure over the number of builds, both axes logarithmic.
type plot struct {
	title    string
	unit     string
	from, to float64 // of the vertical axis
	lines    []line
}

// line is one watcher's figures.
type line struct {
	name   string
	class  string // see style
	points []point
}

type point struct{ x, y float64 }

// delays returns the time from the end of a build until the caller knows.
func (r report) delays() plot {
	known := func(f figures) float64 { return f.known.p95().Seconds() }
	floor := r.line("the least that the quota allows", "floor", runnerClient, false, func(f figures) float64 { return f.floor.Seconds() })
	return plot{
		title: "From the end of a build until the caller knows, p95 in seconds",
		unit:  "s", from: least, to: 2000,
		lines: append(r.lines(known), floor),
	}
}

// statusCalls returns how many calls asked for states.
func (r report) statusCalls() plot {
	return plot{
		title: "Calls of BatchGetBuilds until all builds have ended",
		unit:  "", from: 10, to: 5_000_000,
		lines: r.lines(func(f figures) float64 { return float64(f.calls[askBuilds]) }),
	}
}

func (r report) lines(value func(figures) float64) []line {
	return []line{
		r.line("poller per build, every 5 s", "five", poller5, false, value),
		r.line("poller per build, every 30 s", "thirty", poller30, false, value),
		r.line("flexbuild", "ours", runnerClient, false, value),
		r.line("flexbuild, logs followed", "logs", runnerClient, true, value),
	}
}

// What is below least, which is a tenth of a second, is not drawn.
const least = 0.1

func (r report) line(name, class string, w who, logs bool, value func(figures) float64) line {
	l := line{name: name, class: class}
	for _, f := range r.of(w) {
		if f.logs == logs && !f.far && value(f) >= least {
			l.points = append(l.points, point{float64(f.builds), value(f)})
		}
	}
	return l
}

// The plot's area, in pixels, and the picture's size.
const (
	left, top     = 84.0, 56.0
	width, height = 520.0, 300.0
	full, deep    = 640.0, 480.0
	mostBuilds    = 10000.0
)

// style has colours that are legible on white and on black, and that people
// with colour blindness can distinguish.
const style = `
text { font: 13px sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.five { color: #d1242f } .thirty { color: #bf7400 } .ours { color: #0969da } .logs { color: #1a8a4a } .floor { color: #6e7781 }
polyline, .key { fill: none; stroke: currentColor; stroke-width: 2.5 }
circle { fill: currentColor }
.floor polyline, .floor .key { stroke-dasharray: 5 4 }
.logs polyline, .logs .key { stroke-dasharray: 9 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .five { color: #ff7b72 } .thirty { color: #e3a13b } .ours { color: #58a6ff } .logs { color: #4ac26b } .floor { color: #9da7b3 }
}
`

func (p plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`, full, deep, p.title)
	fmt.Fprintf(&b, "\n<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<text class="title" x="%g" y="28">%s</text>`+"\n", left, p.title)
	p.grid(&b)
	for i, l := range p.lines {
		p.draw(&b, l, i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func x(builds float64) float64 { return left + width*math.Log10(builds)/math.Log10(mostBuilds) }

func (p plot) y(value float64) float64 {
	return top + height*(1-math.Log10(value/p.from)/math.Log10(p.to/p.from))
}

func (p plot) grid(b *strings.Builder) {
	for builds := 1.0; builds <= mostBuilds; builds *= 10 {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, x(builds), top, x(builds), top+height)
		fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n", x(builds), top+height+20, number(int(builds)))
	}
	for value := p.from; value <= p.to; value *= 10 {
		fmt.Fprintf(b, `<line class="grid" x1="%g" y1="%.1f" x2="%g" y2="%.1f"/>`, left, p.y(value), left+width, p.y(value))
		fmt.Fprintf(b, `<text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, p.y(value)+4, p.label(value))
	}
	fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="middle">builds at the same time</text>`+"\n", left+width/2, top+height+42)
}

func (p plot) label(value float64) string {
	if value < 1 {
		return fmt.Sprintf("%.1f %s", value, p.unit)
	}
	return strings.TrimSpace(number(int(math.Round(value))) + " " + p.unit)
}

// draw draws a line, and its entry in the key below the plot, which has two
// columns.
func (p plot) draw(b *strings.Builder, l line, place int) {
	var at []string
	fmt.Fprintf(b, `<g class="%s">`, l.class)
	for _, point := range l.points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", x(point.x), p.y(point.y)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5"/>`, x(point.x), p.y(point.y))
	}
	fmt.Fprintf(b, `<polyline points="%s"/>`, strings.Join(at, " "))
	keyX, keyY := left+float64(place%2)*width/2, top+height+66+float64(place/2)*20
	fmt.Fprintf(b, `<line class="key" x1="%g" y1="%g" x2="%g" y2="%g"/>`, keyX, keyY-4, keyX+26, keyY-4)
	fmt.Fprintf(b, `<text x="%g" y="%g">%s</text></g>`+"\n", keyX+34, keyY, l.name)
}
