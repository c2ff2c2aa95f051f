package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// doctor reads the quotas of the account from Service Quotas, which the engine
// does not have: a server of the test answers.
func TestDoctorReadsQuotas(t *testing.T) {
	pointAt(t, localtest.New(t), func(string) {})
	if status, _, stderr := runWith(t.Context(), "up"); status != 0 {
		t.Fatal(stderr)
	}
	const unread = "note     quota: how many builds may run at once could not be read; AWS's console has it in Service Quotas"
	for name, test := range map[string]struct {
		status int // of HTTP
		answer string
		want   string
		exit   int
	}{
		"some": {
			http.StatusOK,
			`{"Quotas": [
				{"QuotaName": "Concurrently running builds for Linux/Small environment", "Value": 1},
				{"QuotaName": "Concurrently running builds for Linux/Medium environment", "Value": 60},
				{"QuotaName": "Concurrently running builds for ARM/Small environment", "Value": 0},
				{"QuotaName": "Build projects", "Value": 5000}]}`,
			"ok       quota: builds that may run at once on Linux: Small 1, Medium 60\n", 0,
		},
		"none": {
			http.StatusOK,
			`{"Quotas": [
				{"QuotaName": "Concurrently running builds for Linux/Small environment", "Value": 0},
				{"QuotaName": "Concurrently running builds for Linux/Medium environment", "Value": 3}]}`,
			`missing  quota: the account may run no build on Linux/Small, which the project uses: ask for more in Service Quotas`, exitFault,
		},
		"other names": {http.StatusOK, `{"Quotas": []}`, unread, 0},
		"denied": {
			http.StatusBadRequest, `{"__type": "AccessDeniedException", "Message": "not authorized to perform: servicequotas:ListServiceQuotas"}`,
			unread, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if got := r.Header.Get("X-Amz-Target") + string(body); got != `ServiceQuotasV20190624.ListServiceQuotas{"ServiceCode":"codebuild"}` {
					t.Errorf("doctor asks %s", got)
				}
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			}))
			defer server.Close()
			t.Setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.URL)
			exit, stdout, stderr := runWith(t.Context(), "doctor")
			if exit != test.exit || !strings.Contains(stdout, test.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", exit, test.exit, test.want, stdout, stderr)
			}
		})
	}
}
