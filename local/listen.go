package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	headerTimeout = 10 * time.Second // how long a client may take to send a request's headers
	idleTimeout   = 2 * time.Minute  // how long a connection may stay without a request; SDKs end theirs sooner
)

// addressFile is the file with the address of a directory's engine. Names of
// images and outputs of stacks contain the address.
const addressFile = "address"

// listen opens the listener, on the address of the last time if no address is
// given.
func (e *Engine) listen(ctx context.Context) error {
	if e.listener = e.options.Listener; e.listener == nil {
		if err := e.listenOnLoopback(ctx); err != nil {
			return err
		}
	}
	e.server = &http.Server{ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(e.options.Log.Handler(), slog.LevelWarn)}
	e.onClose(e.shutdown) // before the services', and so called after them: builds use the engine to their end
	return replaceFile(e.path(addressFile), []byte(e.listener.Addr().String()+"\n"))
}

func (e *Engine) listenOnLoopback(ctx context.Context) error {
	addr, remembered := e.options.Addr, false
	if addr == "" {
		last, err := os.ReadFile(e.path(addressFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the engine's last address: %w", err)
		}
		addr, remembered = strings.TrimSpace(string(last)), err == nil
	}
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if err := checkLoopback(addr); err != nil {
		return err
	}
	var err error
	e.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && remembered:
		return fmt.Errorf("%s, where the engine of %s listened last time, is taken by another program: stop that one, or choose another address and deploy the stacks again, whose outputs contain the old one: %w", addr, e.options.Dir, err)
	case err != nil:
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return nil
}

// checkLoopback refuses addresses that other machines can reach. Requests are
// signed, but not encrypted, and a build runs commands on this machine.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q must be HOST:PORT, such as 127.0.0.1:4566: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address %q is not on the loopback interface: the engine runs commands and listens on 127.0.0.1 only", addr)
	}
	return nil
}

// serve begins to answer requests. shutdown ends it.
func (e *Engine) serve(context.Context) error {
	e.server.Handler = e.handler()
	e.serving.Go(func() {
		if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
			e.options.Log.Error("the local engine no longer listens", "error", err)
		}
	})
	return nil
}

func (e *Engine) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // somebody holds a connection; end it
		err = e.server.Close()
	}
	if closeErr := e.listener.Close(); !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	e.serving.Wait()
	return err
}

// replaceFile writes a file of mode 0600. Readers see either the old content or
// the new one.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after success
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
