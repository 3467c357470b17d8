package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
)

// signalTimeout bounds one look at a signaling server.
const signalTimeout = 5 * time.Second

// examineSignal asks the vault's signaling servers whether they are there.
func (v *Vault) examineSignal(ctx context.Context) (out []control.Check) {
	config, err := v.keys.settings()
	if err != nil {
		return []control.Check{{Name: "signal", State: "fail", Detail: err.Error(), Fix: control.HintOf(err)}}
	}
	if len(config.Signal) == 0 {
		return []control.Check{{Name: "signal", State: "warn", Detail: "no signaling server: other devices are found on the local network only",
			Fix: "echofs mount --signal URL (anyone can run one: echofs signal)"}}
	}
	for _, url := range config.Signal {
		c := control.Check{Name: "signal", State: "ok", Detail: url}
		if err := askSignal(ctx, url); err != nil {
			c = control.Check{Name: "signal", State: "fail", Detail: fmt.Sprintf("%s: %v", url, err), Fix: "is it running, and is the address right?"}
		}
		out = append(out, c)
	}
	return out
}

// askSignal asks a signaling server how it is; ws URLs are the http ones of
// the same host.
func askSignal(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	health := strings.TrimRight("http"+strings.TrimPrefix(url, "ws"), "/") + "/health"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, health, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}
