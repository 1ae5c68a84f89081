package recorder_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func record(id, text string) *recorder.Record {
	m := message.New(message.Request)
	m.Wire = []byte(text)
	return &recorder.Record{Kind: recorder.Exchange, Entry: telemetry.Entry{ID: id}, Bodies: &recorder.Bodies{Posted: recorder.NewPart(m)}}
}

func TestTheOldestRecordsGo(t *testing.T) {
	r := recorder.New(recorder.Options{Keep: 3})
	for i := range 10 {
		r.Add(record(fmt.Sprint(i), ""))
	}
	epoch, all := r.After("", 0)
	require.Len(t, all, 3)
	assert.Equal(t, "7", all[0].Entry.ID)
	assert.Nil(t, r.Find("6"))
	assert.NotNil(t, r.Find("9"))
	_, newer := r.After(epoch, all[1].Seq)
	require.Len(t, newer, 1)
	assert.Equal(t, "9", newer[0].Entry.ID)

	r.Clear()
	again, none := r.After(epoch, 9)
	assert.Empty(t, none)
	assert.NotEqual(t, epoch, again, "who has seen the old records learns that they are gone")
}

func TestMemoryIsBounded(t *testing.T) {
	r := recorder.New(recorder.Options{Keep: recorder.MaxKeep, Bodies: true})
	text := strings.Repeat("x", 1<<20)
	for i := range 1000 {
		r.Add(record(fmt.Sprint(i), text))
	}
	_, all := r.After("", 0)
	total := 0
	for _, rec := range all {
		assert.True(t, rec.Bodies.Posted.Cut)
		assert.LessOrEqual(t, cap(rec.Bodies.Posted.Wire), 64<<10, "what was cut off is not kept")
		total += cap(rec.Bodies.Posted.Wire)
	}
	assert.LessOrEqual(t, total, 32<<20)
	assert.Greater(t, len(all), 100)
}

func TestWithoutBodiesNoValueIsKept(t *testing.T) {
	r := recorder.New(recorder.Options{Keep: 3})
	rec := record("a", `{"card":"6222020200112233445"}`)
	rec.Path = "/v3/pay/transactions/out-trade-no/6222020200112233445"
	r.Add(rec)
	kept := r.Find("a")
	assert.Nil(t, kept.Bodies)
	assert.Equal(t, "/v3/pay/transactions/out-trade-no/…", kept.Path)
}

func TestWords(t *testing.T) {
	for path, want := range map[string]string{
		"/ledger/mpos": "/ledger/mpos", "/api/v1/delay-ledger/ledger": "/api/v1/delay-ledger/ledger", "/gateway.do": "/gateway.do",
		"/": "/", "": "", "/a/6222020200": "/a/…", "/%E6%AC%A7": "/…", "/a b": "/…", "/H7638527/x": "/…/x",
	} {
		assert.Equal(t, want, recorder.Words(path))
	}
}

// A secret is masked wherever it stands, in every form that messages have.
func TestSecretsAreMasked(t *testing.T) {
	secret := `sh4red"S3cr3t/&Kq7+9=x`
	set := &keys.Set{Secret: keys.NewSecret([]byte(secret), "test"), Named: map[string]*keys.Set{"token": {Secret: keys.NewSecret([]byte("another-one-77"), "test")}}}
	for name, form := range map[string]string{
		"plain": secret, "JSON": `sh4red\"S3cr3t/\u0026Kq7+9=x`, "form": url.QueryEscape(secret), "hex": hex.EncodeToString([]byte(secret)),
		"Base64": base64.StdEncoding.EncodeToString([]byte(secret)), "Basic": base64.StdEncoding.EncodeToString([]byte("user:" + secret)), "named": "another-one-77",
	} {
		r := recorder.New(recorder.Options{Keep: 3, Bodies: true})
		rec := record("a", "before "+form+" after")
		wire := rec.Bodies.Posted.Wire
		rec.Path = "/" + url.PathEscape(form)
		rec.Bodies.Posted.Header.Set("X-Sign", form)
		rec.Bodies.Posted.Query = "k=" + form
		rec.Bodies.Sealed = []scheme.Trace{{Text: []byte("a=1&key=" + form)}}
		r.Add(rec, set, nil)
		b := r.Find("a").Bodies
		all := fmt.Sprintf("%s %v %s %s", b.Posted.Wire, b.Posted.Header, b.Posted.Query, b.Sealed[0].Text)
		assert.NotContains(t, all, form, name)
		assert.Contains(t, string(b.Posted.Wire), "{secret}", name)
		assert.Equal(t, "before "+form+" after", string(wire), "the message itself, which goes on, is not changed")
	}
}

func TestCredentialsInHeadersAreMasked(t *testing.T) {
	r := recorder.New(recorder.Options{Keep: 3, Bodies: true})
	rec := record("a", "")
	for name, value := range map[string]string{"Cookie": "v1", "Set-Cookie": "v2", "X-Auth-Token": "v3", "X-Api-Key": "v4", "Authorization": "Bearer v5", "Proxy-Authorization": "v6"} {
		rec.Bodies.Posted.Header.Set(name, value)
	}
	rec.Bodies.Posted.Header.Set("Content-Type", "application/json")
	r.Add(rec)
	header := r.Find("a").Bodies.Posted.Header
	for i := 1; i <= 6; i++ {
		assert.NotContains(t, fmt.Sprint(header), fmt.Sprint("v", i))
	}
	assert.Equal(t, "application/json", header.Get("Content-Type"))
}

func TestTwoInspectorsMustAgree(t *testing.T) {
	var hook recorder.Hook
	assert.Nil(t, hook.Recorder())
	assert.Nil(t, (*recorder.Hook)(nil).Recorder())
	one := recorder.New(recorder.Options{Keep: 1})
	require.NoError(t, hook.Attach(one))
	require.NoError(t, hook.Attach(one))
	require.Error(t, hook.Attach(recorder.New(recorder.Options{Keep: 2})))
	assert.Same(t, one, hook.Recorder())
}

func TestWatching(t *testing.T) {
	r := recorder.New(recorder.Options{Keep: 3})
	added, stop := r.Watch()
	r.Add(record("a", ""))
	r.Add(record("b", ""))
	<-added
	assert.Empty(t, added, "it wakes once until somebody looks")
	stop()
	r.Add(record("c", ""))
	assert.Empty(t, added)
	for range 32 {
		if w, _ := r.Watch(); w == nil {
			t.Fatal("too early")
		}
	}
	w, _ := r.Watch()
	assert.Nil(t, w, "watchers are bounded")
}

// BenchmarkAdd is what the inspector costs an exchange while nobody looks: a record
// without bodies, and one with two of 1 KiB.
func BenchmarkAdd(b *testing.B) {
	for name, bodies := range map[string]bool{"metadata": false, "bodies": true} {
		b.Run(name, func(b *testing.B) {
			r := recorder.New(recorder.Options{Keep: recorder.DefaultKeep, Bodies: bodies})
			text := strings.Repeat("x", 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				rec := record("4Q2XJ4", text)
				rec.Path = "/ledger/mpos"
				rec.Bodies.Sent = rec.Bodies.Posted
				r.Add(rec)
			}
		})
	}
}
