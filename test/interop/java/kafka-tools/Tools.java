import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command line tools one after the other in one Java machine, since starting
 * one takes longer than what most of them do.
 *
 * <p>A line of input is a class and its arguments with tabs between them, and before them, as
 * base64, what the tool finds on its standard input. A line of output is the tool's exit code and,
 * as base64, all that it printed.
 */
public final class Tools {
  /** Ends a tool where it would have ended the machine. */
  private static final class Ended extends Error {
    Ended() {
      super(null, null, false, false);
    }
  }

  private static Integer exitCode;

  /** What a tool wants done when its machine ends, such as to send what it still holds. */
  private static final List<Runnable> atExit = new ArrayList<>();

  private Tools() {}

  private static int run(String tool, String[] args) throws Exception {
    exitCode = null;
    try {
      Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
    } catch (InvocationTargetException thrown) {
      if (exitCode == null) throw thrown;
    }
    for (Runnable hook : atExit) hook.run();
    atExit.clear();
    return exitCode == null ? 0 : exitCode;
  }

  public static void main(String[] commandLine) throws Exception {
    Exit.Procedure end =
        (code, message) -> {
          // Some tools catch it as any error and exit again: what they wanted first counts.
          if (exitCode == null) exitCode = code;
          throw new Ended();
        };
    Exit.setExitProcedure(end);
    Exit.setHaltProcedure(end);
    Exit.setShutdownHookAdder((name, hook) -> atExit.add(hook));
    PrintStream answers = System.out;
    InputStream lines = System.in;
    BufferedReader reader = new BufferedReader(new InputStreamReader(lines));
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
      String[] parts = line.split("\t");
      ByteArrayOutputStream output = new ByteArrayOutputStream();
      PrintStream captured = new PrintStream(output, true, StandardCharsets.UTF_8);
      System.setIn(new ByteArrayInputStream(Base64.getDecoder().decode(parts[0])));
      System.setOut(captured);
      System.setErr(captured);
      int code = run(parts[1], Arrays.copyOfRange(parts, 2, parts.length));
      answers.println(code + " " + Base64.getEncoder().encodeToString(output.toByteArray()));
    }
    Runtime.getRuntime().halt(0);
  }
}
