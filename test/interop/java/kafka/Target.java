import java.net.URI;
import java.util.HashMap;
import java.util.Map;

/** Where the broker listens, and as whom to log in. */
record Target(
    String plain, String sasl, String tls, String caFile, String user, String password) {
  static Target parse(String text) {
    URI url = URI.create(text);
    Map<String, String> query = new HashMap<>();
    for (String pair : url.getQuery().split("&")) {
      String[] parts = pair.split("=", 2);
      query.put(parts[0], parts[1]);
    }
    String[] login = url.getUserInfo().split(":", 2);
    return new Target(
        url.getHost() + ":" + url.getPort(),
        url.getHost() + ":" + query.get("sasl"),
        url.getHost() + ":" + query.get("tls"),
        query.get("ca"),
        login[0],
        login[1]);
  }
}
