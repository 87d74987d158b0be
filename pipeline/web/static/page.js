import { Card, write } from './card.js'

// Numbers come each second: without any for this long the server is gone.
const SILENT = 2500
const RETRY = 300
const SLOW_RETRY = 1500

const cards = new Map()
const grid = document.getElementById('cameras')
const link = document.getElementById('link')
let socket = null
let heard = 0
let tries = 0
let problem = 'connecting'
let sent = ''
// Whether the way back to all cameras is the step before in the browser's history.
let entered = false

const page = {
  large: null,
  assets: null,
  // The server's clock to this page's, in milliseconds; the message that was fastest tells it best.
  offset: Infinity,
  openedAt: 0,
  show: { boxes: true, labels: true, scores: true },
  changed: watch,
  enlarge,
  say,
  silent: (now) => now - heard > SILENT,
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(entry.target.dataset.camera)
    if (card) card.visible = entry.isIntersecting
  }
  watch()
}, { rootMargin: '100px' })

function say(words) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words))
}

function watch() {
  const wanted = { watch: [], direct: [] }
  for (const card of cards.values()) {
    const mode = card.watched() ? card.choose() : null
    card.follow(mode)
    if (mode !== null) wanted[mode === 'direct' ? 'direct' : 'watch'].push(card.name)
  }
  const text = JSON.stringify(wanted)
  if (text !== sent && socket?.readyState === WebSocket.OPEN) {
    socket.send(text)
    sent = text
  }
}

function enlarge(name) {
  const hash = name === null ? '' : `#${encodeURIComponent(name)}`
  if (location.hash === hash) return
  if (name === null && entered) history.back()
  else location.hash = hash
  entered = name !== null
}

function follow() {
  const name = decodeURIComponent(location.hash.slice(1))
  page.large = cards.has(name) ? name : null
  document.body.classList.toggle('enlarged', page.large !== null)
  for (const card of cards.values()) {
    card.element.classList.toggle('large', card.name === page.large)
    card.refresh()
  }
  watch()
}

// How many people all pictures of this moment show, as far as anybody has counted.
function found() {
  const detected = [...cards.values()].filter((card) => card.detected())
  if (!detected.length) return ', detection off'
  const shown = detected.filter((card) => !card.element.classList.contains('stale'))
  const counts = shown.map((card) => card.people()).filter((count) => count !== null)
  const people = counts.reduce((sum, count) => sum + count, 0)
  if (counts.length) return `, ${people} ${people === 1 ? 'person' : 'people'}`
  return shown.length ? ', nobody counted yet' : ''
}

function takeNumbers(numbers) {
  // What this page consists of has changed with the program.
  if (page.assets !== null && page.assets !== numbers.page) return location.reload()
  page.assets = numbers.page
  page.offset = Math.min(page.offset, performance.now() - numbers.clock)
  const names = numbers.cameras.map((each) => each.name)
  const gone = [...cards.keys()].filter((name) => !names.includes(name))
  for (const name of gone) remove(cards.get(name))
  const added = numbers.cameras.filter((each) => !cards.has(each.name))
  for (const each of added) {
    const card = new Card(each.name, page)
    cards.set(each.name, card)
    watcher.observe(card.element)
  }
  if ([...grid.children].map((each) => each.dataset.camera).join('\n') !== names.join('\n')) {
    grid.append(...names.map((name) => cards.get(name).element))
  }
  for (const each of numbers.cameras) cards.get(each.name).takeNumbers(each)
  grid.dataset.count = cards.size
  write(document.getElementById('total'), `${cards.size} ${cards.size === 1 ? 'camera' : 'cameras'}${found()}`)
  if (added.length || gone.length) follow()
  else watch()
}

function remove(card) {
  watcher.unobserve(card.element)
  card.player.stop()
  card.element.remove()
  cards.delete(card.name)
}

function take(data) {
  heard = performance.now()
  problem = ''
  tries = 0
  if (typeof data === 'string') {
    const words = JSON.parse(data)
    return words.cameras ? takeNumbers(words) : cards.get(words.camera)?.takeWords(words)
  }
  const size = new DataView(data).getUint32(0)
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)))
  const card = cards.get(header.camera)
  const body = new Uint8Array(data, 4 + size)
  if (header.pts === undefined) card?.takeJpeg(header, body)
  else card?.takePacket(header, body)
}

function connect() {
  const address = new URL('live', document.baseURI)
  address.protocol = address.protocol.replace('http', 'ws')
  const own = new WebSocket(address)
  socket = own
  own.binaryType = 'arraybuffer'
  page.openedAt = performance.now()
  own.onopen = () => {
    sent = ''
    page.offset = Infinity
    for (const card of cards.values()) card.player.stop()
  }
  own.onmessage = ({ data }) => socket === own && take(data)
  own.onclose = ({ reason }) => {
    if (socket !== own) return
    problem = reason || 'no connection to Lookout'
    if (tries % 4 === 1) logInIfAsked()
    tries += 1
    setTimeout(connect, reason || tries > 100 ? SLOW_RETRY : RETRY)
  }
}

function logInIfAsked() {
  // The session has ended, or the token is another one: no retry can help.
  fetch('api/cameras', { method: 'HEAD' }).then(({ status }) => {
    if (status === 401) location.assign('login')
  }, () => {})
}

function tick() {
  const now = performance.now()
  const silent = page.silent(now)
  const [level, words] = silent ? ['bad', problem || 'no connection to Lookout'] : overall()
  write(link, words)
  link.dataset.level = level
  // A connection that is open but silent for long is dead: start a new one.
  if (silent && socket?.readyState === WebSocket.OPEN && now - heard > 4 * SILENT) socket.close()
  for (const card of cards.values()) card.refresh()
}

// What is true of all cameras together: it is never better than most of them are.
function overall() {
  const levels = [...cards.values()].map((card) => card.level)
  const bad = levels.filter((level) => level === 'bad').length
  if (bad) return [bad === levels.length ? 'bad' : 'warn', `${bad} of ${levels.length} not live`]
  return [levels.some((level) => level === 'good' || level === 'warn') ? 'good' : 'idle', 'connected']
}

function step() {
  for (const card of cards.values()) card.step()
  requestAnimationFrame(step)
}

function toggle(name) {
  page.show[name] = !page.show[name]
  remember()
  press()
}

function press() {
  for (const button of document.querySelectorAll('[data-switch]')) {
    button.setAttribute('aria-pressed', page.show[button.dataset.switch])
  }
}

function remember() {
  try {
    localStorage.setItem('show', JSON.stringify(page.show))
  } catch {
    // Without storage the switches last as long as the page.
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem('show')) ?? {}
    for (const name of Object.keys(page.show)) page.show[name] = kept[name] ?? true
  } catch {
    return
  }
}

function fillScreen() {
  if (document.fullscreenElement) document.exitFullscreen()
  else document.documentElement.requestFullscreen().catch(() => {})
}

// Arrows go from camera to camera, also from one enlarged camera to the next.
function move(by) {
  const names = [...cards.keys()]
  if (!names.length) return
  const focused = document.activeElement?.closest('[data-camera]')?.dataset.camera
  const next = names[(names.indexOf(page.large ?? focused) + by + names.length) % names.length]
  if (page.large !== null) location.replace(`#${encodeURIComponent(next)}`)
  cards.get(next).picture.focus()
}

const KEYS = {
  b: () => toggle('boxes'),
  l: () => toggle('labels'),
  s: () => toggle('scores'),
  f: fillScreen,
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  Escape: () => page.large !== null && enlarge(null),
}

addEventListener('hashchange', follow)
addEventListener('keydown', (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) KEYS[event.key]?.()
})
document.addEventListener('visibilitychange', watch)
document.addEventListener('fullscreenchange', () => {
  full.setAttribute('aria-pressed', document.fullscreenElement !== null)
})
const full = document.getElementById('full')
full.hidden = !document.fullscreenEnabled
full.addEventListener('click', fillScreen)
for (const button of document.querySelectorAll('[data-switch]')) {
  button.addEventListener('click', () => toggle(button.dataset.switch))
}
recall()
press()
connect()
setInterval(tick, 250)
requestAnimationFrame(step)
