package machine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// Where testdata/aws asks.
const awsAddress = outsideAddress + ":8000"

// serveAWS answers the commands of the AWS CLI that come in: their arguments,
// one a line, then an empty line. The answer is an exit status, and what the
// command prints.
func (o *outside) serveAWS(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var arguments []string
			lines := bufio.NewScanner(c)
			for lines.Scan() && lines.Text() != "" {
				arguments = append(arguments, lines.Text())
			}
			if len(arguments) < 2 {
				return
			}
			time.Sleep(o.awsTakes)
			operation := strings.Join(arguments[:2], " ")
			switch o.failureOf(operation) {
			case unanswered:
				io.Copy(io.Discard, c) // until the client gives up
			case refused:
				fmt.Fprintf(c, "254\n\nAn error occurred (AccessDeniedException) when calling the test: it refuses %s\n", operation)
			default:
				status, text := o.answerAWS(operation, arguments[2:])
				fmt.Fprintf(c, "%d\n%s\n", status, text)
			}
		}()
	}
}

type failure int

const (
	refused failure = iota + 1
	unanswered
)

// fail makes an operation of the AWS CLI, such as "ecr get-login-password",
// fail.
func (o *outside) fail(operation string, how failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures[operation] = how
}

func (o *outside) failureOf(operation string) failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failures[operation]
}

func (o *outside) answerAWS(operation string, arguments []string) (status int, text string) {
	option := func(name string) string {
		if i := slices.Index(arguments, name); i >= 0 && i+1 < len(arguments) {
			return arguments[i+1]
		}
		return ""
	}
	switch operation {
	case "ecr get-login-password":
		return 0, ecrPassword
	case "ecr-public get-login-password":
		if option("--region") != "us-east-1" {
			return 255, "ECR Public answers in us-east-1 only"
		}
		return 0, ecrPublicPassword
	case "ecr describe-repositories":
		return 0, fmt.Sprintf(`{"repositories": [{"repositoryName": "%s", "imageTagMutability": "MUTABLE"}]}`, option("--repository-names"))
	case "ecr describe-images":
		digest := o.digest(option("--repository-name"), strings.TrimPrefix(option("--image-ids"), "imageTag="))
		if digest == "" {
			return 254, "\nAn error occurred (ImageNotFoundException) when calling the DescribeImages operation: no such image"
		}
		return 0, fmt.Sprintf(`{"imageDetails": [{"imageDigest": "%s", "imagePushedAt": "%s"}]}`, digest, time.Now().UTC().Format(time.RFC3339))
	}
	return 252, "the test's AWS CLI has no " + operation
}

// digest returns the digest of what ECR has under a tag, or "".
func (o *outside) digest(repository, tag string) string {
	w := httptest.NewRecorder()
	o.registries[ecr].images.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/v2/"+repository+"/manifests/"+tag, nil))
	return w.Header().Get("Docker-Content-Digest")
}
