subject = O seu pedido { $number } foi entregue
preheader = Esperamos que tudo tenha chegado em perfeito estado.
headline = O seu pedido chegou
intro = O seu pedido { $number } foi entregue. Esperamos que você aproveite bastante!
delivered-at = { $date }, às { $time }
help = Não encontrou o pacote ou algo chegou danificado? Fale com a gente, que resolvemos.
get-help = Preciso de ajuda
sms = { $shop }: o seu pedido { $number } foi entregue. Algum problema? { $url }
