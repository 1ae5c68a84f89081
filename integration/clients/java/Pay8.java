import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Paths;

/**
 * Posts an order to the sidecar. Java 8 and later, nothing but the JDK.
 * Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
 */
public class Pay8 {
    public static void main(String[] args) throws IOException {
        byte[] order = Files.readAllBytes(Paths.get(args[1]));
        HttpURLConnection conn = (HttpURLConnection) new URL(args[0]).openConnection();
        conn.setRequestMethod("POST");
        conn.setRequestProperty("Content-Type", "application/json");
        conn.setConnectTimeout(3000);
        conn.setReadTimeout(40000); // longer than the sidecar's timeout of 30 s
        conn.setDoOutput(true);
        // With a fixed length the JDK does not send a POST again by itself.
        conn.setFixedLengthStreamingMode(order.length);
        try {
            conn.getOutputStream().write(order);
        } catch (ConnectException e) {
            end("not_sent", "sidecar_unreachable");
        }
        int status;
        try {
            status = conn.getResponseCode();
        } catch (IOException e) {
            end("unknown", "sidecar_unreachable");
            return;
        }
        String body = read(status >= 400 ? conn.getErrorStream() : conn.getInputStream());
        String outcome = conn.getHeaderField("Countersign-Outcome");
        if (outcome != null) {
            end(outcome, reason(body));
        }
        if (!"true".equals(conn.getHeaderField("Countersign-Verified"))) {
            end("unverified", "not_verified");
        }
        end("verified", body);
    }

    /** Use the JSON library that the application has; this finds the one member. */
    static String reason(String problem) {
        java.util.regex.Matcher m = java.util.regex.Pattern.compile("\"reason\"\\s*:\\s*\"([a-z_]+)\"").matcher(problem);
        return m.find() ? m.group(1) : "";
    }

    static String read(InputStream in) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] buffer = new byte[4096];
        for (int n; in != null && (n = in.read(buffer)) > 0; ) {
            out.write(buffer, 0, n);
        }
        return out.toString("UTF-8");
    }

    static void end(String outcome, String text) {
        System.out.println(outcome + " " + text);
        switch (outcome) {
            case "verified": System.exit(0);
            case "not_sent": System.exit(10);
            case "unknown": System.exit(11);
            default: System.exit(12);
        }
    }
}
