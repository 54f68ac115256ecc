import uPlot from 'uplot'
import { duration } from '../lib/format'
import type { Marker, Panel } from '../lib/panels'

export interface ChartOptions {
  width: number
  height: number
  syncKey: string
  /** Times are ages in seconds, not moments. */
  age?: boolean
  markers: () => Marker[]
  /** The shown span of time, in seconds; null for all of it. */
  zoom: () => [number, number] | null
  onPoint: (time: number | null) => void
  onPick: (time: number) => void
  onZoom: (span: [number, number] | null) => void
}

const font = '11px ui-sans-serif, system-ui, sans-serif'

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()
}

/** A panel's values in the order of its chart's series: time, lines, usual range. */
export function dataOf(p: Panel): uPlot.AlignedData {
  const usualRange = p.usualRange ? [p.usualRange.high, p.usualRange.low] : []
  return [p.time, ...p.lines.map((l) => l.values), ...usualRange] as uPlot.AlignedData
}

/** When this changes, the chart must be made again; else it only needs new data. */
export function shapeOf(p: Panel): string {
  return p.lines.map((l) => l.label + (l.loose ? '~' : '')).join() + (p.usualRange ? '+usualRange' : '')
}

/** A time series in the page's colours. */
export function makeChart(node: HTMLElement, p: Panel, o: ChartOptions): uPlot {
  const muted = token('muted')
  const grid = { stroke: token('line'), width: 1 }
  const tick = { ...grid, size: 4 }
  const usualSeries = p.lines.length + 1
  const chart = new uPlot(
    {
      width: o.width,
      height: o.height,
      legend: { show: false },
      padding: [8, 24, 0, 0],
      cursor: {
        y: false,
        sync: { key: o.syncKey, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
      },
      scales: {
        x: { time: !o.age, range: (_u, min, max) => o.zoom() ?? span(min, max) },
        y: { range: (u) => [0, Math.max(p.least, top(u, p) * 1.08)] },
      },
      axes: [
        { stroke: muted, grid: { show: false }, ticks: tick, font, size: 24, space: 64, incrs: timeSteps, values: o.age ? (_u, vs) => vs.map((v) => duration(v)) : times },
        { stroke: muted, grid, ticks: { show: false }, font, size: 64, space: 28, incrs: p.binary ? binarySteps : undefined, values: (_u, vs) => vs.map((v) => (p.formatTick ?? p.format)(v)) },
      ],
      series: [
        {},
        ...p.lines.map((l): uPlot.Series => {
          const stroke = token(l.token)
          return {
            label: l.label,
            stroke,
            width: l.dots ? 1 : 1.5,
            dash: l.dots ? [1, 3] : l.dash ? [4, 4] : undefined,
            fill: l.fill ? stroke + '1f' : undefined,
            points: { show: (u) => u.data[0].length < 3 },
            spanGaps: true,
          }
        }),
        ...(p.usualRange ? ['high', 'low'].map((label): uPlot.Series => ({ label, stroke: 'transparent', width: 0, points: { show: false } })) : []),
      ],
      bands: p.usualRange ? [{ series: [usualSeries, usualSeries + 1], fill: token('quiet') + '30' }] : undefined,
      hooks: {
        setCursor: [
          (u) => {
            const left = u.cursor.left ?? -1
            o.onPoint(left >= 0 ? u.posToVal(left, 'x') : null)
          },
        ],
        setSelect: [
          (u) => {
            if (u.select.width < 6) return
            const from = u.posToVal(u.select.left, 'x')
            const to = u.posToVal(u.select.left + u.select.width, 'x')
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
            o.onZoom([from, Math.max(to, from + 2)])
          },
        ],
        draw: [(u) => drawMarkers(u, o.markers())],
      },
    },
    dataOf(p),
    node,
  )
  pickByClick(chart, o)
  return chart
}

/** The largest shown value that the scale must contain. */
function top(u: uPlot, p: Panel): number {
  const { min, max } = u.scales.x ?? {}
  const time = u.data[0]
  let most = 0
  for (let k = 1; k < u.data.length; k++) {
    if (p.lines[k - 1]?.loose) continue
    const values = u.data[k]!
    for (let i = 0; i < values.length; i++) {
      const v = values[i]
      if (v != null && v > most && (min == null || time[i]! >= min) && (max == null || time[i]! <= max)) most = v
    }
  }
  return most
}

/** Draws a thin line with a head at each event. */
function drawMarkers(u: uPlot, markers: Marker[]) {
  const { ctx } = u
  const { left, top: y, width, height } = u.bbox
  ctx.save()
  for (const m of markers) {
    const x = Math.round(u.valToPos(m.time, 'x', true))
    if (x < left || x > left + width) continue
    const size = 4 * devicePixelRatio
    ctx.strokeStyle = ctx.fillStyle = token(m.token)
    ctx.lineWidth = devicePixelRatio
    ctx.globalAlpha = 0.55
    ctx.beginPath()
    ctx.moveTo(x, y)
    ctx.lineTo(x, y + height)
    ctx.stroke()
    ctx.globalAlpha = 1
    ctx.beginPath()
    ctx.moveTo(x - size, y)
    ctx.lineTo(x + size, y)
    ctx.lineTo(x, y + size * 1.5)
    ctx.fill()
  }
  ctx.restore()
}

/** A click picks a moment, a double click shows everything; a drag zooms and picks nothing. */
function pickByClick(chart: uPlot, o: ChartOptions) {
  let down = 0
  chart.over.addEventListener('pointerdown', (e) => (down = e.clientX))
  chart.over.addEventListener('click', (e) => {
    if (Math.abs(e.clientX - down) > 3) return
    o.onPick(chart.posToVal(e.clientX - chart.over.getBoundingClientRect().left, 'x'))
  })
  chart.over.addEventListener('dblclick', () => o.onZoom(null))
}

const binarySteps = Array.from({ length: 52 }, (_, i) => 2 ** i)
const minute = 60
const hour = 60 * minute
const timeSteps = [
  1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
  hour, 2 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 168 * hour,
]

/** The span of time that is drawn; long enough for ticks that differ. */
function span(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 4]
  return max - min < 4 ? [min, min + 4] : [min, max]
}

function times(_u: uPlot, values: number[]): string[] {
  const short = values.length > 1 && values[1]! - values[0]! >= 60
  return values.map((v) => {
    const d = new Date(v * 1000)
    const p = (n: number) => String(n).padStart(2, '0')
    return short ? `${p(d.getHours())}:${p(d.getMinutes())}` : `${p(d.getHours())}:${p(d.getMinutes())}:${p(d.getSeconds())}`
  })
}

/** Moves the cursor to a moment, or removes it. */
export function pointAt(chart: uPlot, time: number | null) {
  const left = time === null ? -10 : chart.valToPos(time, 'x')
  chart.setCursor({ left, top: time === null ? -10 : 1 }, false)
}
