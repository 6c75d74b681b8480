subject = Your order { $number } has been delivered
preheader = We hope everything arrived safe and sound.
headline = Your order has arrived
intro = Your order { $number } has been delivered. We hope you enjoy it!
delivered-at = { $date }, { $time }
help = Can’t find it, or did something arrive damaged? Tell us and we’ll sort it out.
get-help = Get help
sms = { $shop }: your order { $number } has been delivered. Something wrong? { $url }
