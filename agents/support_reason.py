"""Why a customer writes, by key words in Chinese (both scripts), Vietnamese and English. Rules; models have their own."""

import re
import unicodedata
from functools import cache

from domain.support_reason import Reason, Topic

VERSION = "contact-rules-1"
_SURE, _LIKELY, _TOPIC_ONLY, _GUESS = 0.9, 0.75, 0.6, 0.3

_WORDS: dict[tuple[Topic, str], str] = {
    (Topic.WISMO, "delivered_not_received"): "(?:marked|says|shows|shown as) (?:it was |as )?delivered|delivered but|never (?:got|received|arrived)|顯示已(?:送達|簽收)|显示已(?:送达|签收)|沒有?收到|没有?收到|báo đã giao|chưa nhận được",
    (Topic.WISMO, "failed_attempt"): "failed (?:delivery|attempt)|missed (?:the )?delivery|nobody (?:was )?home|配送失敗|派送失败|投遞失敗|沒人在家|giao không thành công|giao hàng thất bại",
    (Topic.WISMO, "customs"): "customs|import duty|海關|海关|清關|清关|關稅|关税|hải quan|thông quan",
    (Topic.WISMO, "no_scan"): "no (?:tracking )?(?:update|scan|movement)|tracking (?:has ?n.t|not|hasn.t) (?:updated|moved)|物流.{0,4}(?:沒|没)(?:有)?(?:更新|動)|一直(?:沒|没)更新|không cập nhật",
    (Topic.WISMO, "late"): "late|delay|overdue|still waiting|supposed to arrive|延遲|延误|遲到|還沒到|还没到|还没收|太慢|trễ|chậm|muộn",
    (Topic.WISMO, ""): "where(?:'s| is| are)? my (?:order|parcel|package|item)|track(?:ing)?\\b|when will .{0,30}(?:arrive|ship|come)|shipping status|什麼時候(?:到|出貨|寄)|什么时候(?:到|发货|寄)|訂單在哪|订单在哪|到哪(?:了|裡|里)|物流|查件|đơn hàng.{0,12}(?:đâu|ở đâu)|khi nào.{0,12}(?:giao|nhận|đến)",
    (Topic.CHANGE, "cancel"): "cancel|取消|huỷ|hủy",
    (Topic.CHANGE, "address"): "(?:change|update|correct|wrong|modify|new).{0,30}address|address.{0,20}(?:change|wrong|update)|deliver .{0,20}(?:somewhere else|different)|(?:改|換|换|更改|修改|填錯|填错|寫錯).{0,6}地址|地址.{0,6}(?:錯|错|改)|(?:đổi|sửa|thay).{0,12}địa chỉ|sai địa chỉ",
    (Topic.CHANGE, "item"): "(?:change|modify|switch|swap|update).{0,40}(?:items?|colou?r|size|order)\\b|add .{0,20}to my order|(?:改|換|换).{0,4}(?:顏色|颜色|尺寸|款式|規格|规格)|加購|đổi (?:màu|cỡ|size|mẫu)",
    (Topic.RETURN, "damaged"): "damaged|broken|cracked|defective|does ?n.?t work|not working|破損|破损|損壞|损坏|壞了|坏了|瑕疵|hỏng|vỡ|bị lỗi",
    (Topic.RETURN, "wrong"): "wrong (?:item|product|size|colou?r|thing)|not what i ordered|寄錯|寄错|發錯|发错|送錯|送错|收到.{0,4}不是|giao (?:nhầm|sai)|sai hàng",
    (Topic.RETURN, "missing"): "missing (?:item|part|piece)|(?:item|part|piece)s? (?:is |are )?missing|incomplete|少了|缺(?:件|少|貨)|漏(?:寄|发|發)|thiếu (?:hàng|món)|giao thiếu",
    (Topic.RETURN, "change_of_mind"): "change(?:d)? my mind|no longer (?:need|want)|do ?n.?t (?:like|want) it|不想要|不喜歡|不喜欢|七天鑑賞|鑑賞期|không thích|đổi ý",
    (Topic.RETURN, ""): "\\breturn|exchange|send (?:it|them) back|退貨|退货|換貨|换货|trả hàng|đổi hàng|đổi trả",
    (Topic.REFUND_STATUS, ""): "refund|money back|退款|還沒退|退錢|退钱|hoàn tiền",
    (Topic.PAYMENT, "invoice"): "invoice|receipt|vat number|發票|发票|統編|統一編號|載具|hoá đơn|hóa đơn",
    (Topic.PAYMENT, "cod"): "cash on delivery|\\bcod\\b|貨到付款|货到付款|thanh toán khi nhận|thu hộ",
    (Topic.PAYMENT, "card"): "(?:card|payment).{0,20}(?:declined|failed|charged)|charged twice|double charge|刷卡|信用卡|重複扣款|重复扣款|thẻ tín dụng|trừ tiền",
    (Topic.PAYMENT, ""): "payment|付款|支付|thanh toán",
    (Topic.WARRANTY, ""): "warranty|guarantee|repair|保固|保修|維修|维修|bảo hành|sửa chữa",
    (Topic.ACCOUNT, "privacy"): "(?:delete|erase|remove) my (?:account|data)|personal data|gdpr|privacy|刪除.{0,4}(?:帳號|資料)|删除.{0,4}(?:账号|资料)|個資|隐私|隱私|xoá tài khoản|xóa tài khoản|dữ liệu cá nhân",
    (Topic.ACCOUNT, "profile"): "password|log ?in|sign ?in|my (?:account|profile|default address)|密碼|密码|登入|登录|帳號|账号|會員|会员|mật khẩu|đăng nhập|tài khoản",
    (Topic.COMPLAINT, "abuse"): "idiot|stupid|f\\*?uck|scam|fraudster|騙子|骗子|白痴|lừa đảo",
    (Topic.COMPLAINT, "complaint"): "complain|unacceptable|terrible|worst|disappointed|投訴|投诉|客訴|太誇張|太差|khiếu nại|thất vọng",
    (Topic.PRESALES, ""): "in stock|do you (?:have|sell|ship)|available in|before i (?:buy|order)|有貨嗎|有货吗|有現貨|有现货|可以買|còn hàng|shop (?:có|còn)",
    (Topic.PRODUCT, ""): "how (?:do|does|to) .{0,30}(?:use|work|install)|manual|spec(?:ification)?s?\\b|dimensions|怎麼用|怎么用|說明書|说明书|規格|规格|cách (?:dùng|sử dụng)|hướng dẫn",
}  # fmt: skip
"""From the most telling down: a message that names several is about the first."""

_ORDERED = (
    Topic.COMPLAINT, Topic.RETURN, Topic.REFUND_STATUS, Topic.CHANGE, Topic.WARRANTY, Topic.ACCOUNT, Topic.PAYMENT,
    Topic.WISMO, Topic.PRESALES, Topic.PRODUCT,
)  # fmt: skip
"""Which topic a message that names several is about: what somebody must do comes before what they want to know."""


def classify(text: str) -> Reason:
    """The reason of a message; the confidence is declared, and low when several topics are named or none."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold())[:8000]
    hits = [key for key, pattern in _patterns().items() if pattern.search(plain)]
    topics = {topic for topic, _ in hits if topic is not Topic.COMPLAINT}
    if not hits:
        return Reason(topic=Topic.PRODUCT, confidence=_GUESS, by=VERSION)
    chosen = next(topic for topic in _ORDERED if any(hit == topic for hit, _ in hits))
    if chosen is Topic.COMPLAINT and topics:
        chosen = next(topic for topic in _ORDERED if topic in topics)
    detail = next((detail for topic, detail in hits if topic is chosen and detail), "")
    sure = _SURE if len(topics) <= 1 and detail else _LIKELY if len(topics) <= 1 else _TOPIC_ONLY
    return Reason(topic=chosen, detail=detail, confidence=sure, by=VERSION)


@cache
def _patterns() -> dict[tuple[Topic, str], re.Pattern[str]]:
    return {key: re.compile(unicodedata.normalize("NFKC", words)) for key, words in _WORDS.items()}
