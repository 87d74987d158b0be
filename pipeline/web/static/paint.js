// Colours of labels are those of the overlay that the server paints.
const KNOWN = { person: '#00f5a0', vehicle: '#40a0ff', car: '#40a0ff', bike: '#ffdc40', face: '#ff6edc' }
const OTHERS = ['#ff8050', '#aa80ff', '#c8e65a', '#5ac8fa', '#ffb482', '#d28cc8']
const INK = '#101418'
const WIDEST = 1920

const colours = new Map(Object.entries(KNOWN))

function colour(label) {
  if (!colours.has(label)) colours.set(label, OTHERS[crc32(label) % OTHERS.length])
  return colours.get(label)
}

function crc32(text) {
  let crc = ~0
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

// The canvas takes the picture's size, up to what a screen can show.
export function fit(canvas, width, height) {
  const scale = Math.min(1, WIDEST / width)
  const [wide, tall] = [Math.round(width * scale), Math.round(height * scale)]
  if (canvas.width === wide && canvas.height === tall) return false
  canvas.width = wide
  canvas.height = tall
  return true
}

// One picture with its own boxes, in one go and on one canvas, so that no screen shows one without the other.
export function paint(context, picture, words, show) {
  const { width, height } = context.canvas
  context.drawImage(picture, 0, 0, width, height)
  if (!words?.boxes || !show.boxes) return
  const [across, down] = [width / words.size[0], height / words.size[1]]
  const size = Math.max(11, Math.min(width, height) / 32)
  const line = Math.max(2, Math.round(size / 7))
  for (const [left, top, right, bottom, score, label] of words.boxes.slice().reverse()) {
    const box = [left * across, top * down, right * across, bottom * down]
    outline(context, box, line, colour(label))
    if (show.labels) tag(context, box, show.scores ? `${label} ${score.toFixed(2)}` : label, size, colour(label))
  }
}

function outline(context, [left, top, right, bottom], line, ink) {
  context.fillStyle = ink
  const [wide, tall] = [right - left, bottom - top]
  const edges = (across, down, thick) => {
    for (const x of [left, right - across]) {
      context.fillRect(x, top, across, thick)
      context.fillRect(x, bottom - thick, across, thick)
    }
    for (const y of [top, bottom - down]) {
      context.fillRect(left, y, thick, down)
      context.fillRect(right - thick, y, thick, down)
    }
  }
  const arm = Math.min(wide, tall) / 4
  edges(wide, tall, line)
  edges(Math.min(arm, line * 12), Math.min(arm, line * 12), line * 2)
}

function tag(context, [left, top], text, size, fill) {
  context.font = `600 ${size}px system-ui, sans-serif`
  context.textBaseline = 'middle'
  const tall = size * 1.5
  const wide = context.measureText(text).width + size * 0.8
  const x = Math.max(0, Math.min(left, context.canvas.width - wide))
  const y = Math.max(0, top < tall ? top : top - tall)
  context.fillStyle = fill
  context.fillRect(x, y, wide, tall)
  context.fillStyle = INK
  context.fillText(text, x + size * 0.4, y + tall / 2)
}
