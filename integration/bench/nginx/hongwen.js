// hongwen in nginx: seals requests and verifies answers with njs and its WebCrypto
// (OpenSSL). njs keeps nothing from one request to the next, so that each reads its keys.
import fs from 'fs'

const dir = 'keys-dev/merchant/hongwen/2014072300007148'
const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }

function der(file) {
  const pem = fs.readFileSync(`${dir}/${file}`, 'utf8').split('-----')[2]
  return Buffer.from(pem.replace(/\s/g, ''), 'base64')
}

function canonical(message) {
  return Buffer.from(Object.keys(message)
    .filter((name) => name !== 'sign' && message[name] !== '' && message[name] !== null && typeof message[name] !== 'object')
    .sort().map((name) => `${name}=${message[name]}`).join('&'))
}

async function seal(text) {
  const message = JSON.parse(text)
  const content = message.biz_content
  Object.keys(content).forEach((name) => {
    if (typeof content[name] === 'object') content[name] = JSON.stringify(content[name])
  })
  Object.assign(message, {
    biz_content: JSON.stringify(content), mch_no: '2014072300007148', method: 'trade.apply.divide.back',
    charset: 'utf-8', version: '1.0', sign_type: 'RSA',
    timestamp: new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 19).replace('T', ' '),
  })
  const key = await crypto.subtle.importKey('pkcs8', der('sign.pem'), rsa, false, ['sign'])
  const signature = await crypto.subtle.sign(rsa, key, canonical(message))
  message.sign = Buffer.from(signature).toString('base64')
  return { sealed: JSON.stringify(message), order: content.divide_back_out_trade_no }
}

async function open(text, order) {
  const message = JSON.parse(text)
  const key = await crypto.subtle.importKey('spki', der('verify.pem'), rsa, false, ['verify'])
  const verified = await crypto.subtle.verify(rsa, key, Buffer.from(message.sign, 'base64'), canonical(message))
  if (!verified) throw new Error('the signature does not verify')
  if (message.divide_back_out_trade_no !== order) throw new Error('the answer is to another order')
}

async function exchange(r) {
  try {
    const request = await seal(r.requestText)
    const answer = await r.subrequest('/provider' + r.uri, { method: 'POST', args: r.variables.args || '', body: request.sealed })
    await open(answer.responseText, request.order)
    r.headersOut['Content-Type'] = 'application/json'
    r.headersOut['Countersign-Verified'] = 'true'
    r.return(200, answer.responseText)
  } catch (err) {
    r.return(502, err.message)
  }
}

export default { exchange }
