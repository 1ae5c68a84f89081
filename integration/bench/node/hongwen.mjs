// hongwen: seals requests and verifies answers with Node's crypto (OpenSSL).
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'

const dir = 'keys-dev/merchant/hongwen/2014072300007148'
const privateKey = createPrivateKey(readFileSync(`${dir}/sign.pem`))
const publicKey = createPublicKey(readFileSync(`${dir}/verify.pem`))
const agent = new Agent({ keepAlive: true, maxSockets: 1024 })

const canonical = (message) => Buffer.from(Object.keys(message)
  .filter((name) => name !== 'sign' && message[name] !== '' && message[name] !== null && typeof message[name] !== 'object')
  .sort().map((name) => `${name}=${message[name]}`).join('&'))

function seal(text) {
  const message = JSON.parse(text)
  const content = Object.fromEntries(Object.entries(message.biz_content)
    .map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]))
  Object.assign(message, {
    biz_content: JSON.stringify(content), mch_no: '2014072300007148', method: 'trade.apply.divide.back',
    charset: 'utf-8', version: '1.0', sign_type: 'RSA',
    timestamp: new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 19).replace('T', ' '),
  })
  message.sign = sign('sha256', canonical(message), privateKey).toString('base64')
  return { sealed: Buffer.from(JSON.stringify(message)), order: content.divide_back_out_trade_no }
}

function open(text, order) {
  const message = JSON.parse(text)
  if (!verify('sha256', canonical(message), publicKey, Buffer.from(message.sign, 'base64'))) throw new Error('the signature does not verify')
  if (message.divide_back_out_trade_no !== order) throw new Error('the answer is to another order')
}

const collect = (stream) => new Promise((resolve, reject) => {
  const chunks = []
  stream.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks).toString())).on('error', reject)
})

// exchange posts a request to the provider and returns its verified answer.
export async function exchange(host, path, text) {
  const { sealed, order } = seal(text)
  const [hostname, port] = host.split(':')
  const answer = await new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': sealed.length }
    request({ agent, hostname, port, path, method: 'POST', headers, timeout: 30e3 }, (res) => resolve(collect(res))).on('error', reject).end(sealed)
  })
  open(answer, order)
  return answer
}

export { collect }
