// Command judge prints how Argo CD and kstatus (the rules that Flux waits by) judge Kubernetes objects.
//
// What: it reads objects as JSON from standard input (one after another, Lists are unfolded) and prints one JSON line per
// object with the verdict of Argo CD's own health rules and that of kstatus. Why: users watch a federated object
// with these tools, so the status that we aggregate must satisfy the real rules, and tests of that must not restate them.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// A verdict is one tool's answer: status is "" where it has no rule for the kind; error is there only if it failed.
type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
	Error   string `json:"error,omitempty"`
}

type line struct {
	Kind      string  `json:"kind"`
	Name      string  `json:"name"`
	Namespace string  `json:"namespace"`
	Argo      verdict `json:"argo"`
	Kstatus   verdict `json:"kstatus"`
}

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "usage: judge < objects.jsonl")
		os.Exit(2)
	}
	output := bufio.NewWriter(os.Stdout)
	err := judgeAll(os.Stdin, output)
	if flushed := output.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func judgeAll(input io.Reader, output *bufio.Writer) error {
	decoder := json.NewDecoder(bufio.NewReader(input))
	encoder := json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	for number := 1; ; number++ {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("value %d: %w", number, err)
		}
		objects, err := unfold(raw)
		if err != nil {
			return fmt.Errorf("value %d: %w", number, err)
		}
		for _, object := range objects {
			if err := encoder.Encode(judge(object)); err != nil {
				return err
			}
		}
		// A reader that keeps the program running gets each answer at once.
		if err := output.Flush(); err != nil {
			return err
		}
	}
}

// unfold decodes one value: an object, or a List of them (whose items may lack kind and apiVersion, as in answers of the
// API server). The scheme keeps whole numbers as int64; plain encoding/json makes float64 of them, which kstatus refuses.
func unfold(raw []byte) ([]*unstructured.Unstructured, error) {
	decoded, _, err := unstructured.UnstructuredJSONScheme.Decode(raw, nil, nil)
	if err != nil {
		return nil, err
	}
	list, isList := decoded.(*unstructured.UnstructuredList)
	if !isList {
		object, isObject := decoded.(*unstructured.Unstructured)
		if !isObject {
			return nil, fmt.Errorf("unexpected %T", decoded)
		}
		return []*unstructured.Unstructured{object}, nil
	}
	objects := make([]*unstructured.Unstructured, len(list.Items))
	for index := range list.Items {
		objects[index] = &list.Items[index]
	}
	return objects, nil
}

func judge(object *unstructured.Unstructured) line {
	return line{
		Kind:      object.GetKind(),
		Name:      object.GetName(),
		Namespace: object.GetNamespace(),
		Argo:      askArgo(object.DeepCopy()),
		Kstatus:   askKstatus(object.DeepCopy()),
	}
}

// askArgo asks the rules that are written in Go, those for Kubernetes' own kinds; Argo CD's Lua rules are not among them.
// An object that a rule cannot read gets both the status Unknown, as in Argo CD, and an error.
func askArgo(object *unstructured.Unstructured) verdict {
	answer, err := health.GetResourceHealth(object, nil)
	var result verdict
	if answer != nil {
		result.Status, result.Message = string(answer.Status), answer.Message
	}
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

func askKstatus(object *unstructured.Unstructured) verdict {
	answer, err := status.Compute(object)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{Status: string(answer.Status), Message: answer.Message}
}
