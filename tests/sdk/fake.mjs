// Seam's own fake behind a TLS front on loopback. Arguments: the folder in which the
// fake is installed, certificate, key. Prints the front's URL and serves until killed.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import net from 'node:net'
import { pathToFileURL } from 'node:url'

const [folder, certificate, key] = process.argv.slice(2)

// The fake listens on every interface and has no option for it.
const listen = net.Server.prototype.listen
let last
net.Server.prototype.listen = function (...options) {
  last = this
  const [first, ...rest] = options
  const callback = rest.find((option) => typeof option === 'function')
  const port = typeof first === 'object' ? first.port : first
  return listen.call(this, { port, host: '127.0.0.1' }, callback)
}

const require = createRequire(`${folder}/`)
const path = pathToFileURL(require.resolve('@seamapi/fake-seam-connect')).href
const { createFake } = await import(path)
const fake = await createFake()
const seed = await fake.seed()
// The fake makes ids of its own; these get the form of Seam's.
function addDoor(workspace_id, name, ids) {
  const system = fake.database.addAcsSystem({
    workspace_id,
    external_type: 'visionline_system',
    name,
    connected_account_id: seed.john_connected_account_id ?? 'john_connected_account_id',
  })
  const { acs_system_id } = system
  const entrance = fake.database.addAcsEntrance({ acs_system_id, workspace_id, display_name: name })
  const external_type = 'visionline_user'
  const user = fake.database.addAcsUser({ workspace_id, acs_system_id, external_type, full_name: 'a guest' })
  for (const part of [system, entrance, user]) part.acs_system_id = ids.system
  entrance.acs_entrance_id = ids.entrance
  user.acs_user_id = ids.user
}
addDoor(seed.seed_workspace_1 ?? 'seed_workspace_1', 'main entrance', {
  system: '3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713',
  entrance: 'd23d7180-c1ee-4bbe-8630-05df5031ce35',
  user: '4b0a3f6e-6a0e-4a3f-8f3d-6b1f6e0d9a51',
})
addDoor(seed.seed_workspace_2 ?? 'seed_workspace_2', 'annex', {
  system: '9d1f0b7e-52c4-4e8a-b0a6-7f3c2d9e1b64',
  entrance: '0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216',
  user: 'b7e5d2c1-3f4a-4c6b-8d9e-0a1b2c3d4e5f',
})
await fake.startServer({ port: 0 })
const { port } = last.address()

const front = https.createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    const { method, url, headers } = request
    const inner = http.request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    inner.on('error', () => response.destroy())
    request.pipe(inner)
  },
)
front.listen(0, () => console.log(`https://localhost:${front.address().port}`))
