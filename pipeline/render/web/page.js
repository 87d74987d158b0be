// A picture older than this, of a live camera, is dimmed here, whatever the server says or fails to say.
const OLD = 1500
// Numbers come each second: without any for this long the server is gone.
const SILENT = 2500
const RETRY = 1000

const cards = new Map()
const grid = document.getElementById('cameras')
const link = document.getElementById('link')
let socket = null
let heard = 0
let large = null
let problem = 'connecting'

class Card {
  constructor(name) {
    this.name = name
    this.visible = true
    this.live = true
    this.pictureAt = null
    this.numbers = null
    this.element = document.getElementById('camera').content.firstElementChild.cloneNode(true)
    this.element.dataset.camera = name
    this.canvas = this.element.querySelector('canvas')
    this.context = this.canvas.getContext('bitmaprenderer')
    this.picture = this.element.querySelector('.picture')
    this.banner = this.element.querySelector('.banner')
    this.pill = this.element.querySelector('footer .pill')
    this.element.querySelector('h2').textContent = name
    const save = this.element.querySelector('.save')
    save.href = `/cameras/${encodeURIComponent(name)}/snapshot.jpg`
    save.download = `${name}.jpg`
    save.setAttribute('aria-label', `Save a snapshot of ${name}`)
    this.picture.addEventListener('click', () => enlarge(large === name ? null : name))
    grid.append(this.element)
    watcher.observe(this.element)
    this.refresh()
  }

  async paint(header, jpeg) {
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }))
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
        this.canvas.width = bitmap.width
        this.canvas.height = bitmap.height
        this.picture.style.setProperty('--ratio', bitmap.width / bitmap.height)
      }
      this.context.transferFromImageBitmap(bitmap)
      this.live = header.live
      this.pictureAt = performance.now() - header.age_ms
      this.picture.style.setProperty('--title', `${header.title * 100}%`)
      this.element.dataset.seq = header.seq
    } finally {
      say({ seen: this.name })
    }
    this.refresh()
  }

  refresh() {
    const now = performance.now()
    const numbers = this.numbers
    const age = this.pictureAt === null ? null : Math.max(0, now - this.pictureAt)
    let level = numbers?.level ?? 'idle'
    let text = numbers?.text ?? 'connecting'
    let stale = numbers?.stale ?? true
    if (now - heard > SILENT) {
      [level, text, stale] = ['bad', 'no connection to Lookout', true]
    } else if (!stale && this.live && age !== null && age > OLD && this.watched()) {
      [level, text, stale] = ['bad', `no picture for ${Math.round(age / 1000)} s`, true]
    }
    // Words that change each second would drown a screen reader: only a change of level is spoken.
    if (this.element.dataset.level !== level && this.element.dataset.level) {
      write(document.getElementById('spoken'), `${this.name}: ${text}`)
    }
    this.element.dataset.level = level
    this.element.classList.toggle('stale', stale)
    write(this.banner, stale ? text : '')
    write(this.pill, stale ? (numbers?.state ?? text) : text.split(' ')[0])
    this.pill.dataset.level = level
    write(this.element.querySelector('.people'), numbers && !stale ? numbers.people : '–')
    write(this.element.querySelector('.fps'), numbers && !stale ? numbers.fps.toFixed(1) : '–')
    write(this.element.querySelector('.age'), age === null ? '–' : age < OLD ? `${Math.round(age)} ms` : `${Math.round(age / 1000)} s`)
    const people = numbers && !stale ? `, ${numbers.people} people` : ''
    this.picture.setAttribute('aria-label', `${this.name}, ${text}${people}. ${large === this.name ? 'Back to all cameras' : 'Enlarge'}`)
  }

  watched() {
    return !document.hidden && (large === null ? this.visible : large === this.name)
  }
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(entry.target.dataset.camera)
    if (card) card.visible = entry.isIntersecting
  }
  watch()
}, { rootMargin: '100px' })

function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text
}

function say(words) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words))
}

function watch() {
  say({ watch: [...cards.values()].filter((card) => card.watched()).map((card) => card.name) })
}

function enlarge(name) {
  const hash = name === null ? '' : `#${encodeURIComponent(name)}`
  if (location.hash === hash) return
  if (name === null) history.back()
  else location.hash = hash
}

function follow() {
  const name = decodeURIComponent(location.hash.slice(1))
  large = cards.has(name) ? name : null
  document.body.classList.toggle('enlarged', large !== null)
  for (const card of cards.values()) {
    card.element.classList.toggle('large', card.name === large)
    card.refresh()
  }
  watch()
}

function takeNumbers(numbers) {
  const added = numbers.cameras.filter((each) => !cards.has(each.name))
  for (const each of added) cards.set(each.name, new Card(each.name))
  for (const each of numbers.cameras) {
    cards.get(each.name).numbers = each
    cards.get(each.name).refresh()
  }
  grid.dataset.count = cards.size
  const people = numbers.cameras.filter((each) => !each.stale).reduce((sum, each) => sum + each.people, 0)
  const total = `${cards.size} ${cards.size === 1 ? 'camera' : 'cameras'}, ${people} ${people === 1 ? 'person' : 'people'}`
  write(document.getElementById('total'), total)
  if (added.length) follow()
}

function connect() {
  const own = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live`)
  socket = own
  own.binaryType = 'arraybuffer'
  own.onopen = watch
  own.onmessage = ({ data }) => {
    heard = performance.now()
    problem = ''
    if (typeof data === 'string') return takeNumbers(JSON.parse(data))
    const size = new DataView(data).getUint32(0)
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)))
    cards.get(header.camera)?.paint(header, new Uint8Array(data, 4 + size))
  }
  own.onclose = ({ reason }) => {
    if (socket !== own) return
    problem = reason || 'no connection to Lookout'
    setTimeout(connect, RETRY)
  }
}

function tick() {
  const silent = performance.now() - heard > SILENT
  write(link, silent ? problem || 'no connection to Lookout' : 'connected')
  link.dataset.level = silent ? 'bad' : 'good'
  // A connection that is open but silent for long is dead: start a new one.
  if (silent && socket?.readyState === WebSocket.OPEN && performance.now() - heard > 4 * SILENT) socket.close()
  for (const card of cards.values()) card.refresh()
}

addEventListener('hashchange', follow)
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && large !== null) enlarge(null)
})
document.addEventListener('visibilitychange', watch)
connect()
setInterval(tick, 250)
