// Posts an order to the sidecar. .NET Framework 4.5, Mono and .NET.
// Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Text.RegularExpressions;

public static class Pay
{
    public static int Main(string[] args)
    {
        var request = (HttpWebRequest)WebRequest.Create(args[0]);
        request.Method = "POST";
        request.ContentType = "application/json";
        request.Proxy = null;
        request.AllowAutoRedirect = false;
        request.Timeout = request.ReadWriteTimeout = 40000; // longer than the sidecar's timeout of 30 s
        request.ServicePoint.Expect100Continue = false;
        byte[] order = File.ReadAllBytes(args[1]);
        HttpWebResponse answer;
        try
        {
            request.ContentLength = order.Length;
            using (var stream = request.GetRequestStream()) stream.Write(order, 0, order.Length);
            answer = (HttpWebResponse)request.GetResponse();
        }
        catch (WebException e)
        {
            answer = e.Response as HttpWebResponse; // 4xx and 5xx come as exceptions
            if (answer == null)
            {
                bool notSent = e.Status == WebExceptionStatus.ConnectFailure || e.Status == WebExceptionStatus.NameResolutionFailure;
                return End(notSent ? "not_sent" : "unknown", "sidecar_unreachable");
            }
        }
        string body = new StreamReader(answer.GetResponseStream()).ReadToEnd();
        string outcome = answer.Headers["Countersign-Outcome"];
        // Use the JSON library that the application has; this finds the one member.
        if (outcome != null) return End(outcome, Regex.Match(body, "\"reason\"\\s*:\\s*\"([a-z_]+)\"").Groups[1].Value);
        if (answer.Headers["Countersign-Verified"] != "true") return End("unverified", "not_verified");
        return End("verified", body);
    }

    static int End(string outcome, string text)
    {
        Console.WriteLine(outcome + " " + text);
        return new Dictionary<string, int> { { "verified", 0 }, { "not_sent", 10 }, { "unknown", 11 }, { "unverified", 12 } }[outcome];
    }
}
