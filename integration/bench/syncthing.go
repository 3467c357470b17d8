package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNoSyncthing tells that there is nothing to compare with.
var errNoSyncthing = errors.New("syncthing is not installed (Debian package syncthing)")

// syncthing is a device of Syncthing with one folder, which is shared with one
// other device by their configurations: it talks to that one alone, over TCP on
// the loopback interface, and to no server.
type syncthing struct {
	home, folder string
	id           string // of the device
	at           string // host:port where it takes connections
	api          string // host:port of its REST interface
	daemon       *server
}

// syncthingKey is the key of the REST interface, of processes that live as long
// as the run.
const syncthingKey = "bench"

// newSyncthings makes two devices below dir that share a folder. It fails with
// errNoSyncthing.
func newSyncthings(ctx context.Context, dir string) (a, b *syncthing, err error) {
	if _, err := exec.LookPath("syncthing"); err != nil {
		return nil, nil, errNoSyncthing
	}
	if a, err = newSyncthing(ctx, filepath.Join(dir, "a")); err != nil {
		return nil, nil, err
	}
	if b, err = newSyncthing(ctx, filepath.Join(dir, "b")); err != nil {
		return nil, nil, err
	}
	return a, b, errors.Join(a.configure(b), b.configure(a))
}

func newSyncthing(ctx context.Context, dir string) (*syncthing, error) {
	s := &syncthing{home: filepath.Join(dir, "home"), folder: filepath.Join(dir, "folder")}
	if err := os.MkdirAll(filepath.Join(s.folder, ".stfolder"), 0o700); err != nil {
		return nil, err
	}
	if _, err := run(ctx, s.env(), nil, "syncthing", "generate", "--home="+s.home, "--no-default-folder"); err != nil {
		return nil, err
	}
	id, err := run(ctx, s.env(), nil, "syncthing", "serve", "--home="+s.home, "--device-id")
	if err != nil {
		return nil, err
	}
	s.id = strings.TrimSpace(string(id))
	if s.at, err = freePort(); err != nil {
		return nil, err
	}
	s.api, err = freePort()
	return s, err
}

func (s *syncthing) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "STNOUPGRADE=1"}
}

// freePort returns an address of the loopback interface at which nobody
// listens.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// configure writes the configuration: what it does not say is as Syncthing has
// it by default.
func (s *syncthing) configure(other *syncthing) error {
	text := fmt.Sprintf(`<configuration version="36">
  <folder id="bench" label="bench" path=%q type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1">
    <device id=%q/><device id=%q/>
  </folder>
  <device id=%q name="self"><address>dynamic</address></device>
  <device id=%q name="other"><address>tcp://%s</address></device>
  <gui enabled="true" tls="false"><address>%s</address><apikey>%s</apikey></gui>
  <options>
    <listenAddress>tcp://%s</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <startBrowser>false</startBrowser>
    <urAccepted>-1</urAccepted>
    <crashReportingEnabled>false</crashReportingEnabled>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <reconnectionIntervalS>1</reconnectionIntervalS>
    <setLowPriority>false</setLowPriority>
  </options>
</configuration>
`, s.folder, s.id, other.id, s.id, other.id, other.at, s.api, syncthingKey, s.at)
	return os.WriteFile(filepath.Join(s.home, "config.xml"), []byte(text), 0o600)
}

func (s *syncthing) start() (err error) {
	s.daemon, err = start(s.env(), "syncthing", "serve", "--home="+s.home, "--no-browser", "--no-restart", "--logfile="+filepath.Join(s.home, "log"))
	return err
}

func (s *syncthing) stop() error { return s.daemon.stop() }

// syncthingLimit bounds the wait for a device to be done.
const syncthingLimit = 15 * time.Minute

// holds waits until the device has count files and needs no more.
func (s *syncthing) holds(ctx context.Context, count int) error {
	limit := time.Now().Add(syncthingLimit)
	for {
		var st struct {
			LocalFiles, NeedTotalItems int
			State                      string
		}
		err := s.get(ctx, "/rest/db/status?folder=bench", &st)
		if err == nil && st.State == "idle" && st.LocalFiles == count && st.NeedTotalItems == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return errors.Join(fmt.Errorf("syncthing: %d of %d files after %v, %s", st.LocalFiles, count, syncthingLimit, st.State), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// get asks the REST interface; it fails until that is there.
func (s *syncthing) get(ctx context.Context, path string, into any) error {
	u, err := url.Parse("http://" + s.api + path)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", syncthingKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}
