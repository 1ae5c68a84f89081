// A signing sidecar as a Node team writes it.
// usage: node sidecar.mjs <port> <provider's host:port>
import { createServer } from 'node:http'
import { collect, exchange } from './hongwen.mjs'

const [port, provider] = process.argv.slice(2)
createServer(async (req, res) => {
  try {
    const answer = await exchange(provider, req.url, await collect(req))
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer), 'Countersign-Verified': 'true' })
    res.end(answer)
  } catch (err) {
    res.writeHead(502, { 'Content-Type': 'text/plain' })
    res.end(err.message)
  }
}).listen(Number(port), '127.0.0.1')
