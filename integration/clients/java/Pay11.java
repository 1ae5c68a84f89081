import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Posts an order to the sidecar with the client of Java 11 and later.
 * Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
 */
public class Pay11 {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(3)).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
                .timeout(Duration.ofSeconds(40)) // longer than the sidecar's timeout of 30 s
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofFile(Path.of(args[1]))).build();
        HttpResponse<String> answer;
        try {
            answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (ConnectException e) {
            end("not_sent", "sidecar_unreachable");
            return;
        } catch (IOException e) {
            end("unknown", "sidecar_unreachable");
            return;
        }
        var outcome = answer.headers().firstValue("Countersign-Outcome");
        if (outcome.isPresent()) {
            end(outcome.get(), reason(answer.body()));
        }
        if (!answer.headers().firstValue("Countersign-Verified").equals(java.util.Optional.of("true"))) {
            end("unverified", "not_verified");
        }
        end("verified", answer.body());
    }

    /** Use the JSON library that the application has; this finds the one member. */
    static String reason(String problem) {
        var m = java.util.regex.Pattern.compile("\"reason\"\\s*:\\s*\"([a-z_]+)\"").matcher(problem);
        return m.find() ? m.group(1) : "";
    }

    static void end(String outcome, String text) {
        System.out.println(outcome + " " + text);
        System.exit(switch (outcome) {
            case "verified" -> 0;
            case "not_sent" -> 10;
            case "unknown" -> 11;
            default -> 12;
        });
    }
}
