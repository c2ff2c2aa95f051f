package wire

import (
	"net/http"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// registryProtocol is the protocol of the OCI distribution specification.
type registryProtocol struct{ *Handler }

func (p registryProtocol) serve(r *http.Request, w *response) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	principal, err := p.registry.Authenticate(r)
	if err != nil {
		return err
	}
	return p.pass(w, r.WithContext(iam.WithPrincipal(r.Context(), principal)), p.registry)
}

func (p registryProtocol) fail(w *response, _ *http.Request, err error) {
	p.registry.WriteError(w, err)
}
