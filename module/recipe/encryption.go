package recipe

import (
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
)

// encryption is a statement encrypt, seal, decrypt or open.
type encryption struct {
	line     Line
	paths    []body.Path
	whole    bool // the body
	cipher   cipher.Cipher
	encoding encoding.Encoding
	params   cipher.Params // what does not depend on a message
	iv       template
	ivCoding encoding.Encoding // of iv, where it is written in one
	ivCoded  bool
	ivPad    int // zeros are written behind a shorter iv
	nonce    template
	aad      template
	form     secretForm
	role     keys.Role
	id       string
	into     *place
	before   bool // before verify
	cut      bool // a line below cuts or decrypts what it leaves
	plain    bool // an object was not encrypted, and stays as it is

	envelope *envelope // of seal and open
	roles    []keys.Role
	implied  bool // of what the request did to the same member

	again bool        // a line above encrypts the same member
	inner []body.Path // of decryption: what lines below decrypt again
}

// ofAll reports whether the payload is encrypted as a whole.
func (e *encryption) ofAll() bool { return e.whole }

// envelope is how a fresh key travels.
type envelope struct {
	cipher   cipher.Cipher
	encoding encoding.Encoding
	place    place
	kind     string // "ascii" or "bytes"
	size     int
	prefix   string
	id       string
}

// cipherLine reads "<cipher> <encoding>" behind the statement's members.
func (e *encryption) cipherLine(l Line, name, encodingName string) (err error) {
	if e.cipher, err = cipher.Named(name); err != nil {
		return l.errorf("%w", err)
	}
	if e.encoding, err = encoding.Named(encodingName); err != nil {
		return l.errorf("%w", err)
	}
	return nil
}

// encryptionMembers reads members, or body.
func (c *compiler) encryptionMembers(e *encryption, words []string) error {
	if len(words) == 0 {
		return e.line.errorf("%s takes members, written body.<path>, or body", e.line.Words[0])
	}
	if len(words) == 1 && words[0] == "body" {
		e.whole = true
		return nil
	}
	var err error
	e.paths, err = c.paths(e.line, words)
	return err
}

func (c *compiler) encryptLine(l Line) (*encryption, error) {
	e := &encryption{line: l}
	if len(l.Words) < 4 {
		return nil, l.errorf("%s takes a cipher, an encoding and members, as in: %s rsa-oaep-sha1 base64 body.name", l.Words[0], l.Words[0])
	}
	words, err := c.words(Line{Words: l.Words[:3], At: l.At})
	if err != nil {
		return nil, err
	}
	if err := e.cipherLine(l, words[1], words[2]); err != nil {
		return nil, err
	}
	return e, c.encryptionMembers(e, l.Words[3:])
}

func (c *compiler) sealLine(l Line) (*encryption, error) {
	e := &encryption{line: l, role: keys.SharedSecret}
	if len(l.Words) < 4 {
		return nil, l.errorf("%s takes members, a cipher and an encoding, as in: %s body.data aes-256-ecb base64 { wrap rsa-pkcs1 base64 body.key }", l.Words[0], l.Words[0])
	}
	n := len(l.Words)
	words, err := c.words(Line{Words: l.Words[n-2:], At: l.At})
	if err != nil {
		return nil, err
	}
	if err := e.cipherLine(l, words[0], words[1]); err != nil {
		return nil, err
	}
	if e.cipher.Kind() != cipher.Symmetric {
		return nil, l.errorf("%s encrypts under a fresh key, for which %s is not made", l.Words[0], e.cipher.Name())
	}
	return e, c.encryptionMembers(e, l.Words[1:n-2])
}

// encryptionBlock compiles the lines behind encrypt, seal, decrypt and open.
func (c *compiler) encryptionBlock(e *encryption) error {
	lines, err := c.kept(e.line.Block)
	if err != nil {
		return err
	}
	if weak := e.cipher.Weak(); weak != "" {
		c.warn("%s %s: %s", e.line.Words[0], e.cipher.Name(), weak)
	}
	var keyKind string
	var keySize int
	var prefix string
	var secretLine *Line
	if err := blockLines(lines, onceInStatement, nil); err != nil {
		return err
	}
	for _, l := range lines {
		words, err := c.words(l)
		if err != nil {
			return err
		}
		a := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
		switch words[0] {
		case "key":
			if a.peek() == "ascii" || a.peek() == "bytes" {
				keyKind = a.next()
				keySize, err = strconv.Atoi(a.next())
				if err != nil || keySize < 8 || keySize > 64 {
					return l.errorf("key %s takes a number of bytes, as in: key ascii 32", keyKind)
				}
			} else {
				err = e.key(a)
			}
		case "padding":
			e.params.Padding, err = a.choice("padding", cipher.PadPKCS7, cipher.PadPKCS7Wide, cipher.PadZero, cipher.PadSpace, cipher.PadNone)
		case "prefix":
			if a.done() {
				return l.errorf("prefix takes the text that stands before the key, as in: prefix \"01|\"")
			}
			prefix = unescape(a.next())
		case "order":
			e.params.Order, err = a.choice("order", "c1c3c2", "c1c2c3", "asn1")
		case "iv":
			switch a.peek() {
			case "zero":
				a.next()
				if e.cipher.IVSize() == 0 {
					return l.errorf("%s has no iv: remove it", e.cipher.Name())
				}
				e.params.IV = make([]byte, e.cipher.IVSize())
			case "prepended":
				a.next()
				e.params.IVPrepended = true
			case "hex", "base64", "base64url":
				e.ivCoding, _ = encoding.Named(a.next())
				e.ivCoded = true
				if len(a.words) != 1 {
					return l.errorf("iv %s takes one value, as in: iv hex {secret.iv}", e.ivCoding.Name())
				}
				e.iv, err = c.cipherValue(a)
			default:
				e.iv, err = c.readIVValue(e, a)
			}
		case "nonce":
			e.nonce, err = c.cipherValue(a)
		case "aad":
			e.aad, err = c.cipherValue(a)
		case "secret", "derive":
			secretLine = &l
			err = e.form.read(words[0], a)
		case "into":
			if statement := e.line.Words[0]; statement != "decrypt" && statement != "open" {
				return l.errorf("into belongs to decrypt and open; %s puts the ciphertext where the plaintext was", statement)
			}
			err = e.readInto(a)
		case "plain":
			if e.plain = true; len(words) != 2 || words[1] != "object" || e.line.Words[0] != "decrypt" && e.line.Words[0] != "open" {
				return l.errorf("plain belongs to decrypt and open, and is written: plain object")
			}
			a.next()
		case "wrap":
			if statement := e.line.Words[0]; statement != "seal" && statement != "open" {
				return l.errorf("wrap belongs to seal and open, which use a fresh key; %s uses one of the key set", statement)
			}
			err = e.wrap(a)
		default:
			return l.errorf("unknown word %q behind %s; there are key, padding, prefix, order, iv, nonce, aad, secret, derive, into, plain and wrap", words[0], e.line.Words[0])
		}
		if err == nil && !a.done() {
			err = l.errorf("%s does not take %q", words[0], a.next())
		}
		if err != nil {
			return err
		}
	}
	if e.envelope != nil && e.envelope.place.kind == "body" && contains(e.paths, e.envelope.place.path) {
		return e.line.errorf("%s names %s, in which its key travels; name a member that holds plaintext", e.line.Words[0], e.envelope.place)
	}
	if secretLine != nil && (e.envelope != nil || e.cipher.Kind() != cipher.Symmetric) {
		return secretLine.errorf("%s belongs to a shared secret, and %s %s uses none: remove it", secretLine.Words[0], e.line.Words[0], e.cipher.Name())
	}
	if e.envelope != nil {
		e.envelope.prefix = prefix
		e.envelope.kind, e.envelope.size = keyKind, keySize
		if keyKind == "" {
			e.envelope.kind, e.envelope.size = "bytes", e.cipher.KeySize()
			if e.envelope.size == 0 {
				return e.line.errorf("how long the fresh key is is not known; add: key bytes 16, or key ascii 32")
			}
		}
	} else if e.line.Words[0] == "seal" { // what is said first, whatever else the block has
		return e.line.errorf("seal needs to know how its key travels; add: wrap rsa-pkcs1 base64 body.encryptKey")
	} else if e.line.Words[0] == "open" {
		return e.line.errorf("open needs to know how its key travels; add: wrap rsa-pkcs1 base64 body.encryptKey")
	} else if keyKind != "" || prefix != "" {
		return e.line.errorf("key ascii, key bytes and prefix belong to a fresh key, which seal and open have")
	}
	if err := e.checkKeySize(); err != nil {
		return err
	}
	return e.check()
}

// checkKeySize refuses a fresh or a derived key that the cipher does not take: no
// request could leave.
func (e *encryption) checkKeySize() error {
	n, word := e.form.size(), "derive"
	if e.envelope != nil {
		n, word = e.envelope.size, "key "+e.envelope.kind
	}
	if e.cipher.Kind() != cipher.Symmetric || n == 0 || e.cipher.TakesKey(n) {
		return nil
	}
	var sizes []string
	for size := range 65 {
		if e.cipher.TakesKey(size) {
			sizes = append(sizes, strconv.Itoa(size))
		}
	}
	return e.line.errorf("%s makes a key of %d bytes, and %s takes one of %s", word, n, e.cipher.Name(), strings.Join(sizes, ", "))
}

// check refuses options that the cipher does not have.
func (e *encryption) check() error {
	p := e.params
	if e.nonce != nil {
		p.Nonce = []byte("x")
	}
	if e.aad != nil {
		p.AAD = []byte("x")
	}
	if e.iv != nil {
		p.IV = []byte("x")
	}
	if err := e.cipher.Check(p); err != nil {
		return e.line.errorf("%w", err)
	}
	if e.cipher.IVSize() > 0 && e.iv == nil && e.nonce == nil && e.params.IV == nil && !e.params.IVPrepended {
		return e.line.errorf("%s needs an iv or a nonce; add: iv prepended, iv zero, iv <value> or nonce <value>", e.cipher.Name())
	}
	return e.checkIVSize()
}

// checkIVSize refuses an iv or a nonce that is known now and that the cipher does not
// take.
func (e *encryption) checkIVSize() error {
	size := e.cipher.IVSize()
	if text, known := e.iv.known(); known && e.iv != nil && size > 0 {
		n := len(text)
		if e.ivCoded {
			raw, err := e.ivCoding.Decode([]byte(text))
			if err != nil {
				return e.line.errorf("the iv is not %s", e.ivCoding.Name())
			}
			n = len(raw)
		}
		if n = max(n, e.ivPad); n != size {
			return e.line.errorf("the iv has %d bytes, and %s takes one of %d", n, e.cipher.Name(), size)
		}
	}
	if text, known := e.nonce.known(); known && e.nonce != nil && len(text) < size {
		return e.line.errorf("the nonce has %d bytes, and %s takes one of %d or more", len(text), e.cipher.Name(), size)
	}
	return nil
}
