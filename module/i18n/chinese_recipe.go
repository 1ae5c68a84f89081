package i18n

// What recipes say.
var chineseRecipe = map[string]string{
	"%s takes no %s; its methods are %s, and the sidecar answers others with 405":                                                                           "%s 不接受 %s 方法；它的方法是 %s，sidecar 对别的方法一律回 405",
	"the request needs the %s %s, which is signed":                                                                                                          "请求缺少 %s %s，而它参与签名",
	"a recipe is written {\"lines\": [{\"words\": [\"title\", \"Acme\"]}, …]}, and %s is of another type there: %s":                                         "配方的写法是 {\"lines\": [{\"words\": [\"title\", \"Acme\"]}, …]}，而这里 %s 是别的类型：%s",
	"a recipe has lines, with at least one of the blocks request, answer and notification: write {\"lines\": [{\"words\": [\"request\"], \"block\": […]}]}": "配方要有行，至少有 request、answer、notification 中的一块：写成 {\"lines\": [{\"words\": [\"request\"], \"block\": […]}]}",
	"the blocks of a recipe nest too deep":                                                                                                                  "配方的块嵌套太深",
	"a recipe has at most %d lines":                                                                                                                         "一份配方最多 %d 行",
	"the name of a recipe is made of lower-case letters, digits and hyphens, not %q":                                                                        "配方名只用小写字母、数字和连字符，不能是 %q",
	"match body.%s: no signature of the answer covers it, so that anybody could write there what the request has; match a member that is signed":            "match body.%s：应答的签名没有盖住它，谁都能在那里写上和请求一样的值；请 match 一个签了的字段",
	"%s has no signature for a message that is a %s":                                                                                                        "%s 没有针对这种报文（%s）的签名",

	"messages: %d run, %d left out; attacks: %d, of which %d refused; wrong: %d\n":                                   "报文：跑了 %d 条，略过 %d 条；攻击：%d 次，其中 %d 次被拒；不对的：%d 处\n",
	"no messages stand in the folders of %s; they compile: give messages and --keys, --ref to run and attack them\n": "%s 的目录里没有报文；它们能编译：给出报文和 --keys、--ref，就能跑和攻击\n",
	"a text that the recipe makes of the message is longer than %d bytes":                                            "配方由报文拼出的文本超过了 %d 字节",
	"the message is too large for all of them":                                                                       "报文太大，不能全试",
	"reading %s: %w": "读取 %s 时出错：%w",
	"which recipe is this message of? Write \"recipe\": \"<name>\" into the JSON file beside it":                     "这条报文属于哪个配方？在旁边的 JSON 文件里写上 \"recipe\": \"<名字>\"",
	"which keys open this message? Write \"ref\": \"<reference>\" into the JSON file beside it: a folder below keys": "用哪套密钥打开这条报文？在旁边的 JSON 文件里写上 \"ref\": \"<引用>\"：keys 下面的一个目录",
	"%s has no recipe %q": "%s 里没有配方 %q",
	"what the application has is sealed to another message":                      "应用手里的内容加签后成了另一条报文",
	"what is signed is another text than the one that stands beside the message": "签的文本和报文旁边写的不一样",

	"it does not open": "打不开",

	"the iv is not in %s, which the recipe says it is":                  "iv 不是配方所说的 %s 编码",
	"encrypting the body: %w":                                           "加密正文时出错：%w",
	"encrypting %s: %w":                                                 "加密 %s 时出错：%w",
	"it and its prefix are longer than one block":                       "它连同前缀超过了一个分组的长度",
	"the request could not be encrypted; the log says which key failed": "请求无法加密；是哪个密钥出错见日志",
	"wrapping the symmetric key with %s: %w":                            "用 %s 加密对称密钥时出错：%w",

	"the signature covers a part of the request, which is not known here": "签名覆盖请求的一部分，而这里不知道请求",
	"placeholder {%s} has no value":                                       "占位符 {%s} 没有值",
	"the request needs the member %s, which is signed":                    "请求需要字段 %s，它参与签名",
	"the member %s has the wrong type":                                    "字段 %s 的类型不对",
	"the member %s is not a whole number":                                 "字段 %s 不是整数",
	"the message needs the member %s, which is signed%s":                  "报文需要字段 %s，它参与签名%s",
	"the header %s has %s twice":                                          "报文头 %s 里有两个 %s",
	"the key set does not tell the serial of its %s key; put the certificate beside the key, or the serial into %s.serial": "密钥集没有说明 %s 密钥的序列号；请把证书放在密钥旁边，或把序列号写入 %s.serial",

	"the message has no %s":                    "报文没有 %s",
	"the notification has no list %s":          "通知里没有数组 %s",
	"%s is not a list of exactly one element":  "%s 不是正好一个元素的数组",
	"the JSON in the member %s is refused: %w": "字段 %s 里的 JSON 被拒绝：%w",

	"the request needs the member %s":                                  "请求需要字段 %s",
	"the member %s has a type that is not signed; give it as a string": "字段 %s 的类型不能参与签名；请以字符串给出",

	"the member %s of the acknowledgement is or holds an object or a list; only plain values are signed there": "应答里的字段 %s 是或者含有对象或数组；那里只有普通值参与签名",

	"the message has no member %s that is an object, which is what is signed":                                         "报文没有参与签名的对象字段 %s",
	"the message has several of the members %s, or one of them in other letters as well, of which only one is signed": "报文里有 %s 中的多个字段，或者有只差大小写的同名字段，而只有一个参与签名",
	"the message has none of the members %s, of which one is signed":                                                  "报文里没有 %s 中的任何一个字段，而其中一个要参与签名",
	"the message has no member %s, whose bytes are signed":                                                            "报文没有字段 %s，它的原文要参与签名",
	"the message can be read in two ways: several members match %s":                                                   "报文可以有两种读法：有多个字段符合 %s",

	"%s has no requests":                   "%s 没有请求",
	"%s is not written as the recipe says": "%s 不是按配方写的",

	"%q is no part of a message; it is body.<path>, header.<Name>, query.<name>, form.<name>, or behind split part.<name>": "%q 不是报文的一部分；只能是 body.<路径>、header.<名字>、query.<名字>、form.<名字>，或 split 之后的 part.<名字>",
	"%s does not have the parts that the recipe says":                                                                      "%s 的分段与配方所说的不符",
	"part %d of %s is not %s, as the recipe says":                                                                          "第 %d 段（%s）不是配方所说的 %s",
	"the body is empty, or has no members, and the signature stands in one":                                                "正文是空的或者没有字段，而签名要放在其中一个字段里",
	"the member %s is not a string":                                                                                        "字段 %s 不是字符串",

	"the secret is not %s, which the recipe says it is": "共享密钥不是 %s，而配方说它是",

	"a value for the header %s holds a line break or NUL":                                                                      "报文头 %s 的值里有换行或 NUL",
	"the request has %s in the form and, with another value, in the query; give it in one of them":                             "请求的表单里有 %s，查询参数里也有而且值不同；请只放在其中一处",
	"the request has a body and a query, and the provider takes the members in the query; put all of them into one of the two": "请求既有正文又有查询参数，而渠道只从查询参数中取字段；请把它们全部放在其中一处",
	"the request has no body, to which %s belongs":                                                                             "请求没有正文，而 %s 属于正文",
	"a value for %s is not UTF-8":         "%s 的值不是 UTF-8",
	"a value for %s is not a JSON number": "%s 的值不是 JSON 数字",
	"setting %s: %w":                      "设置 %s 时出错：%w",

	"a value for the header %s holds a quote or a separator, and would be read as another part of it": "报文头 %s 的值里有引号或分隔符，会被读作它的另一部分",

	"in %s: %w": "%s 里：%w",
	"%s needs one of the encodings hex, hex-upper and base64": "%s 需要 hex、hex-upper 或 base64 三种编码之一",

	"%s holds more than %d signatures":                                   "%s 里的签名超过 %d 个",
	"no signature in %s is written as the recipe says":                   "%s 里没有一个签名是按配方写的",
	"the message does not name the serial of the key that has signed it": "报文没有给出签名密钥的序列号",
}
