package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

func TestNestedXML(t *testing.T) {
	o := Options{Nested: true, Root: "soap:Envelope"}
	const text = `<soap:Envelope xmlns:soap="http://a/?b&amp;c"><soap:Body><Order id="1&quot;2"><Amount currency="TRY">100</Amount><Name>a &lt; b</Name><None></None></Order></soap:Body></soap:Envelope>`
	json, err := ParseXML([]byte(`<?xml version="1.0"?>`+"\n"+text), o)
	require.NoError(t, err)
	assert.Equal(t, `{"@xmlns:soap":"http://a/?b&c","soap:Body":{"Order":{"@id":"1\"2","Amount":{"@currency":"TRY","#text":"100"},"Name":"a < b","None":""}}}`, string(json))
	object, err := body.Parse(json)
	require.NoError(t, err)
	back, err := FormatXML(object.Members(), o)
	require.NoError(t, err)
	assert.Equal(t, text, string(back))
}

func TestNestedXMLIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"twice":              `<a><b>1</b><b>2</b></a>`,
		"an attribute twice": `<a><b x="1" x="2"/></a>`,
		"text beside":        `<a><b>1</b>x</a>`,
		"a comment":          `<a><b>1<!-- 2 --></b></a>`,
		"a DTD":              `<!DOCTYPE a [<!ENTITY x "1">]><a>&x;</a>`,
		"an entity":          `<a>&x;</a>`,
		"a second root":      `<a/><a/>`,
		"text behind":        `<a/>x`,
		"no end":             `<a><b>1</b>`,
		"another end":        `<a><b>1</a></b>`,
		"an instruction":     `<a/><?xml version="1.0"?>`,
		"too deep":           strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17),
		"nothing":            ``,
	} {
		_, err := ParseXML([]byte(text), Options{Nested: true})
		assert.Error(t, err, name)
	}
	_, err := ParseXML([]byte(`<b/>`), Options{Nested: true, Root: "a"})
	require.ErrorContains(t, err, "root")
	for _, json := range []string{`{"a":[1]}`, `{"a b":"1"}`, `{"@a b":"1"}`, `{"@a":{}}`, `{"a":"\u0001"}`, `{"a":{"b>":{}}}`} {
		object, err := body.Parse([]byte(json))
		require.NoError(t, err)
		_, err = FormatXML(object.Members(), Options{Nested: true})
		assert.Error(t, err, json)
	}
}
