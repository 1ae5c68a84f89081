package easypay

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
)

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		code  string
		plain func(message, biz object)
		seal  func(message, biz object)
		send  func(message, biz object)
	}{
		"organisation missing":    {code: "30", plain: func(m, _ object) { delete(m, "orgId") }},
		"merchant missing":        {code: "30", plain: func(m, _ object) { delete(m, "orgMercode") }},
		"terminal not a string":   {code: "30", plain: func(m, _ object) { m["orgTermNo"] = 21120433 }},
		"trace empty":             {code: "30", plain: func(m, _ object) { m["orgTrace"] = "" }},
		"product missing":         {code: "30", plain: func(m, _ object) { delete(m, "prodCode") }},
		"order missing":           {code: "30", plain: func(_, b object) { delete(b, "oriOrgTrace") }},
		"count missing":           {code: "30", plain: func(_, b object) { delete(b, "transCount") }},
		"amount missing":          {code: "30", plain: func(_, b object) { delete(b, "transAmt") }},
		"details missing":         {code: "30", plain: func(_, b object) { delete(b, "orderSubDetails") }},
		"details without a key":   {code: "30", seal: func(_, b object) { delete(b, "dgtlEnvlp") }},
		"count too high":          {code: "30", plain: func(_, b object) { b["transCount"] = "3" }},
		"count with a zero":       {code: "30", plain: func(_, b object) { b["transCount"] = "02" }},
		"amount above the sum":    {code: "30", plain: func(_, b object) { b["transAmt"] = "101" }},
		"amount below the sum":    {code: "86", plain: func(_, b object) { b["transAmt"] = "99" }},
		"page's count and amount": {code: "86", plain: func(_, b object) { b["transAmt"], b["transCount"] = "0", "1" }},
		"nothing of nothing": {code: "86", plain: func(_, b object) {
			b["transAmt"], b["transCount"], b["orderSubDetails"] = "0", "1", `[{"orgMercode":"1","transAmt":"0"}]`
		}},
		"amount in yuan":         {code: "30", plain: func(_, b object) { b["transAmt"] = "1.00" }},
		"amount negative":        {code: "30", plain: func(_, b object) { b["transAmt"] = "-100" }},
		"amount enormous":        {code: "30", plain: func(_, b object) { b["transAmt"] = "9999999999999999999" }},
		"array in bizData":       {code: "30", plain: func(_, b object) { b["list"] = []string{} }},
		"object in bizData":      {code: "30", plain: func(_, b object) { b["more"] = object{} }},
		"no receiver":            {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `[]` }},
		"receiver not an object": {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `["1"]` }},
		"details not a list":     {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `"1"` }},
		"sub amount a number":    {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `[{"orgMercode":"1","transAmt":100}]` }},
		"sub merchant missing":   {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `[{"transAmt":"100"}]` }},
		"sub amount missing":     {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `[{"orgMercode":"1"}]` }},
		"sub field not a string": {code: "30", plain: func(_, b object) { b["orderSubDetails"] = `[{"orgMercode":"1","transAmt":"100","subject":1}]` }},
		"details not JSON":       {code: "A1", plain: func(_, b object) { b["orderSubDetails"] = `[{` }},
		"details in GBK":         {code: "A1", plain: func(_, b object) { b["orderSubDetails"] = "[\"\xd6\xd0\"]" }},
		"details with a twin":    {code: "A1", plain: func(_, b object) { b["orderSubDetails"] = `[{"transAmt":"1","transAmt":"100"}]` }},
		"details with a tail":    {code: "A1", plain: func(_, b object) { b["orderSubDetails"] = "[]\x00" }},
		"cipher text cut short": {code: "A1", seal: func(_, b object) {
			b["orderSubDetails"] = base64.StdEncoding.EncodeToString(make([]byte, 40))
		}},
		"cipher text not Base64": {code: "A1", seal: func(_, b object) { b["orderSubDetails"] = "[]" }},
		"other cipher text": {code: "A1", seal: func(_, b object) {
			b["orderSubDetails"] = base64.StdEncoding.EncodeToString(make([]byte, 48))
		}},
		"envelope not Base64":    {code: "A1", seal: func(_, b object) { b["dgtlEnvlp"] = "*" }},
		"envelope of nobody":     {code: "A1", seal: func(_, b object) { b["dgtlEnvlp"] = "AAAA" }},
		"not signed":             {code: "A0", send: func(m, _ object) { delete(m, "sign") }},
		"signature not Base64":   {code: "A0", send: func(m, _ object) { m["sign"] = "-_-_" }},
		"signature of another":   {code: "A0", send: func(m, b object) { b["transCount"] = "3" }},
		"member added":           {code: "A0", send: func(_, b object) { b["extra"] = "1" }},
		"member dropped":         {code: "A0", send: func(_, b object) { delete(b, "transAmt") }},
		"sign type missing":      {code: "A0", send: func(m, _ object) { delete(m, "signType") }},
		"sign type of its own":   {code: "A0", send: func(m, _ object) { m["signType"] = "MD5" }},
		"bizData missing":        {code: "30", send: func(m, _ object) { delete(m, "bizData") }},
		"bizData in a string":    {code: "30", send: func(m, _ object) { m["bizData"] = "{}" }},
		"the envelope exchanged": {code: "A0", send: func(_, b object) { b["dgtlEnvlp"] = "AAAA" }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMerchant(t, "sample-request.json")
			if c.plain != nil {
				c.plain(m.message, m.biz())
			}
			m.sealed, m.sent = c.seal, c.send
			answer := New().Answer(m.request())
			message, biz, genuine := m.read(answer.Body, "bizData")
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, "0000"+c.code, message["sysRetCode"], answer.Seen)
			assert.Equal(t, c.code, biz["tradeRetCode"])
			assert.True(t, genuine, "errors are signed as well")
			assert.False(t, answer.OK)
			assert.Nil(t, answer.Notification)
			assert.NotContains(t, biz, "orderSubDetails")
		})
	}
}

func TestRefusalsOfTheBody(t *testing.T) {
	m := newMerchant(t, "sample-request.json")
	for name, body := range map[string]string{
		"empty": "", "HTML": "<html>", "array": "[]", "twin": `{"bizData":{},"bizData":{}}`,
		"twin in bizData": `{"bizData":{"transAmt":"1","transAmt":"2"}}`, "GBK": "{\"a\":\"\xd6\xd0\"}",
	} {
		message, _, genuine := m.read(New().Answer(m.raw(body)).Body, "bizData")
		assert.Equal(t, "000030", message["sysRetCode"], name)
		assert.True(t, genuine, name)
	}
	r := m.request()
	r.ContentType = "text/plain"
	message, _, _ := m.read(New().Answer(r).Body, "bizData")
	assert.Equal(t, "000030", message["sysRetCode"])
}

func TestAStrangerGetsNothingSigned(t *testing.T) {
	m := newMerchant(t, "sample-request.json")
	m.sent = func(message, biz object) {
		message["sign"] = providertest.Sign(t, m.sides.Provider, canonicalOf(biz))
		biz["appendRetcode"] = "TRADE_SUCCESS"
	}
	message, biz, genuine := m.read(New().Answer(m.request()).Body, "bizData")
	assert.Equal(t, "0000A0", message["sysRetCode"])
	assert.True(t, genuine)
	assert.NotContains(t, biz, "appendRetcode", "the provider does not sign what a stranger wrote")
}
