// Calls other people's clients: a line of JSON on standard input is a call, and a line
// on standard output its result. The test starts it once.
import { createInterface } from 'node:readline';
import { sign as signGitHub, verify as verifyGitHub } from '@octokit/webhooks-methods';
import { AlipaySdk } from 'alipay-sdk';
import Razorpay from 'razorpay';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';
import WxPayModule from 'wechatpay-node-v3';

const WxPay = WxPayModule.default ?? WxPayModule;
const stripe = new Stripe('sk_test_unused');
const alipay = (a) => new AlipaySdk({
  appId: 'A1', privateKey: a.privateKey, keyType: 'PKCS8', alipayPublicKey: a.publicKey, encryptKey: a.encryptKey, endpoint: a.endpoint,
});
const wechat = (a) => new WxPay({
  appid: 'wx1', mchid: a.mchid, serial_no: a.serial ?? '00', publicKey: Buffer.from(a.certificate ?? ''), privateKey: Buffer.from(a.privateKey), key: a.key,
});
// passes turns an exception into false: that is how some of the clients refuse.
const passes = async (check) => {
  try {
    return (await check()) !== false;
  } catch {
    return false;
  }
};

const calls = {
  'alipay.request': (a) => alipay(a).sdkExecute('alipay.trade.pay', a.params, { bizContentAutoSnakeCase: false }),
  json: (a) => JSON.stringify(a.value),
  'alipay.answer': (a) => passes(() => { alipay(a).checkResponseSign(a.wire, a.member, a.sign, 't'); }),
  'alipay.notification': (a) => passes(() => alipay(a).checkNotifySignV2(a.form)),
  'alipay.v3': async (a) => {
    try {
      return { data: (await alipay(a).curl(a.method, a.path, a.options)).data };
    } catch (e) {
      return { refused: String(e.message) };
    }
  },
  'wechat.request': (a) => {
    const pay = wechat(a);
    const signature = pay.getSignature(a.method, a.nonce, a.timestamp, a.uri, a.body);
    return pay.getAuthorization(a.nonce, a.timestamp, signature);
  },
  'wechat.verify': (a) => passes(() => {
    WxPay.certificates = { [a.serial]: a.publicKey };
    return wechat(a).verifySign({ timestamp: a.timestamp, nonce: a.nonce, body: a.body, serial: a.serial, signature: a.signature });
  }),
  'wechat.resource': (a) => wechat(a).decipher_gcm(a.ciphertext, a.aad, a.nonce, a.key),
  'wechat.encrypt': (a) => wechat(a).publicEncrypt(a.text, a.publicKey),
  'wechat.decrypt': (a) => wechat(a).privateDecrypt(a.text),
  'stripe.sign': (a) => stripe.webhooks.generateTestHeaderString({ payload: a.body, secret: a.secret, timestamp: a.timestamp }),
  'stripe.verify': (a) => passes(() => stripe.webhooks.constructEvent(a.body, a.header, a.secret)),
  'standard.sign': (a) => new Webhook(a.secret).sign(a.id, new Date(a.timestamp * 1000), a.body),
  'standard.verify': (a) => passes(() => { new Webhook(a.secret).verify(a.body, a.headers); }),
  'github.sign': (a) => signGitHub(a.secret, a.body),
  'github.verify': (a) => passes(() => verifyGitHub(a.secret, a.body, a.signature)),
  'razorpay.verify': (a) => passes(() => Razorpay.validateWebhookSignature(a.body, a.signature, a.secret)),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, args } = JSON.parse(line);
  let reply;
  try {
    reply = { result: await calls[call](args) };
  } catch (e) {
    reply = { error: String(e.stack ?? e) };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}
