package testcaddy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// Answer is an answer, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON returns the body as an object. The test fails if it is none.
func (a *Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(a.Body, &out); err != nil {
		t.Fatalf("the answer is no JSON object: %v\n%s", err, a.Body)
	}
	return out
}

// Header changes one header of a request; an empty value takes it out.
func Header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

// Post posts JSON. The test fails if no answer comes.
func Post(t testing.TB, url string, body []byte, change ...func(*http.Request)) *Answer {
	t.Helper()
	answer, err := TryPost(t.Context(), url, body, change...)
	if err != nil {
		t.Fatalf("posting to %s: %v", url, err)
	}
	return answer
}

// TryPost posts JSON on a new connection.
func TryPost(ctx context.Context, url string, body []byte, change ...func(*http.Request)) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	return Do(r)
}

// Do sends a request on a new connection and follows no redirect.
func Do(r *http.Request) (*Answer, error) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: text}, nil
}
