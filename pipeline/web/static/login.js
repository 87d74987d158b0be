// What stands behind the # of an address is sent to no server and noted in no log: the code goes into a form instead.
function enter() {
  const code = location.hash.slice(1)
  if (!code) return
  history.replaceState(null, '', location.pathname)
  const form = document.getElementById('invited')
  form.elements.code.value = code
  form.submit()
}

addEventListener('hashchange', enter)
enter()
