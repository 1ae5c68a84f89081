// Package body reads a JSON object once, remembers where its members stand,
// and changes single members by splicing: every byte outside of an edited
// member stays as it came.
//
// Payment bodies must not be decoded into Go values and encoded again. A round
// trip through map[string]any turns 20881234567890123456 into
// 20881234567890125000, 1.10 into 1.1 and "<" into "\u003c". Each of these
// breaks a signature, and the first two change money. Here a number is the
// token that stands in the text, and what is not edited is not touched.
//
// Reading is strict (RFC 8259 and RFC 7493): invalid UTF-8, lone surrogates, a
// duplicate member name in whatever spelling and at whatever depth, and text
// after the object are refused. Two parsers that disagree about a duplicate
// name are a way to sign one amount and pay another.
package body
