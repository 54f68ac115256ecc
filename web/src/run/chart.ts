import uPlot from 'uplot'

export interface Line {
  label: string
  token: string // name of a colour token
  format: (v: number) => string
  fill?: boolean
  dash?: boolean
}

export interface ChartOptions {
  width: number
  height: number
  lines: Line[]
  axis: (v: number) => string
  /** What the top of the scale should at least be. */
  least: number
  /** Steps of the scale in powers of two, for bytes. */
  binary?: boolean
  syncKey: string
  onPoint: (time: number | null) => void
  onPick: (time: number) => void
}

const font = '11px ui-sans-serif, system-ui, sans-serif'

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()
}

/** A time series in the page's colours; the data's first column is seconds. */
export function makeChart(node: HTMLElement, o: ChartOptions, data: uPlot.AlignedData): uPlot {
  const muted = token('muted')
  const grid = { stroke: token('line'), width: 1 }
  const tick = { ...grid, size: 4 }
  const chart = new uPlot(
    {
      width: o.width,
      height: o.height,
      legend: { show: false },
      padding: [8, 24, 0, 0],
      cursor: {
        y: false,
        sync: { key: o.syncKey, setSeries: false },
        drag: { x: true, y: false },
        points: { size: 6 },
      },
      scales: { x: { time: true, range: span }, y: { range: (_u, _min, max) => [0, Math.max(o.least, (max || 0) * 1.08)] } },
      axes: [
        { stroke: muted, grid: { show: false }, ticks: tick, font, size: 24, space: 64, incrs: timeSteps, values: times },
        { stroke: muted, grid, ticks: { show: false }, font, size: 64, space: 28, incrs: o.binary ? binarySteps : undefined, values: (_u, vs) => vs.map(o.axis) },
      ],
      series: [
        {},
        ...o.lines.map((l): uPlot.Series => {
          const stroke = token(l.token)
          return {
            label: l.label,
            stroke,
            width: 1.5,
            dash: l.dash ? [4, 4] : undefined,
            fill: l.fill ? stroke + '1f' : undefined,
            points: { show: (u) => u.data[0].length < 3 },
            spanGaps: true,
          }
        }),
      ],
      hooks: {
        setCursor: [
          (u) => {
            const left = u.cursor.left ?? -1
            o.onPoint(left >= 0 ? u.posToVal(left, 'x') : null)
          },
        ],
      },
    },
    data,
    node,
  )
  pickByClick(chart, o.onPick)
  return chart
}

/** A click picks a moment; a drag, which zooms, does not. */
function pickByClick(chart: uPlot, onPick: (time: number) => void) {
  let down = 0
  chart.over.addEventListener('pointerdown', (e) => (down = e.clientX))
  chart.over.addEventListener('click', (e) => {
    if (Math.abs(e.clientX - down) > 3) return
    onPick(chart.posToVal(e.clientX - chart.over.getBoundingClientRect().left, 'x'))
  })
}

const binarySteps = Array.from({ length: 52 }, (_, i) => 2 ** i)
const minute = 60
const hour = 60 * minute
const timeSteps = [
  1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
  hour, 2 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 168 * hour,
]

/** The span of time that is drawn; never so short that its ticks could not be told apart. */
function span(_u: uPlot, min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 10]
  return max - min < 10 ? [min, min + 10] : [min, max]
}

function times(_u: uPlot, values: number[]): string[] {
  const short = values.length > 1 && values[1]! - values[0]! >= 60
  return values.map((v) => {
    const d = new Date(v * 1000)
    const p = (n: number) => String(n).padStart(2, '0')
    return short ? `${p(d.getHours())}:${p(d.getMinutes())}` : `${p(d.getHours())}:${p(d.getMinutes())}:${p(d.getSeconds())}`
  })
}

/** Puts the cursor at a moment, or away. */
export function pointAt(chart: uPlot, time: number | null) {
  const left = time === null ? -10 : chart.valToPos(time, 'x')
  chart.setCursor({ left, top: time === null ? -10 : 1 }, false)
}

/** The index of the last value at or before a moment; -1 when there is none. */
export function indexAt(times: ArrayLike<number>, time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (times[mid]! <= time) low = mid + 1
    else high = mid
  }
  return low - 1
}
