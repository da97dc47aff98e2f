// A key pair of an issuer and a token that it signed: `node issuer.mjs KEYS CLAIMS` writes the JWK
// Set to the file KEYS and prints a JWT (RFC 7519) with CLAIMS, signed with ES256.
import { generateKeyPairSync, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const [file, claims] = process.argv.slice(2)
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const marks = { kid: 'one', alg: 'ES256' }
const key = { ...publicKey.export({ format: 'jwk' }), ...marks, use: 'sig' }
writeFileSync(file, JSON.stringify({ keys: [key] }))
const text = [JSON.stringify({ ...marks, typ: 'JWT' }), claims]
  .map((part) => Buffer.from(part).toString('base64url'))
  .join('.')
const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
console.log(`${text}.${signature.toString('base64url')}`)
