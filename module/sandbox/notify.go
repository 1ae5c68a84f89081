package sandbox

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// pauses are the pauses before each sending of a notification. Real providers
// take minutes and hours.
var pauses = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// maxPending is how many notifications are sent at once. The sandbox drops more.
const maxPending = 256

// notifier sends notifications until they are acknowledged.
type notifier struct {
	target  *url.URL
	client  *http.Client
	logger  *zap.Logger
	ctx     context.Context
	stop    context.CancelFunc
	sending sync.WaitGroup
	slots   chan struct{}
}

func newNotifier(target string, logger *zap.Logger) (*notifier, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, i18n.Errorf("notify must be an http or https address, not %q", target)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &notifier{
		target: u, logger: logger, ctx: ctx, stop: stop,
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}},
		slots:  make(chan struct{}, maxPending),
	}, nil
}

func (n *notifier) close() {
	n.stop()
	n.sending.Wait()
	n.client.CloseIdleConnections()
}

func (n *notifier) send(notification provider.Notification) {
	select {
	case n.slots <- struct{}{}:
	default:
		n.logger.Warn("too many notifications are being sent; one is dropped")
		return
	}
	n.sending.Go(func() {
		defer func() { <-n.slots }()
		for i, pause := range pauses {
			select {
			case <-n.ctx.Done():
				return
			case <-time.After(pause):
			}
			status, header, answer, err := n.post(notification)
			acknowledged := err == nil && notification.Stops(status, header, answer)
			n.logger.Info("notification sent", zap.Int("try", i+1), zap.Bool("acknowledged", acknowledged), zap.Error(err))
			if acknowledged {
				return
			}
		}
	})
}

// post sends a notification once and returns what the merchant answers.
func (n *notifier) post(notification provider.Notification) (status int, header http.Header, answer []byte, err error) {
	to := *n.target
	if notification.Query != "" {
		to.RawQuery = notification.Query
	}
	req, err := http.NewRequestWithContext(n.ctx, http.MethodPost, to.String(), bytes.NewReader(notification.Body))
	if err != nil {
		return 0, nil, nil, err
	}
	maps.Copy(req.Header, notification.Header)
	req.Header.Set("Content-Type", notification.ContentType)
	res, err := n.client.Do(req)
	if err != nil {
		return 0, nil, nil, network.Describe(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	if answer, err = io.ReadAll(io.LimitReader(res.Body, 64<<10)); err != nil {
		return 0, nil, nil, network.Describe(err)
	}
	return res.StatusCode, res.Header, answer, nil
}
